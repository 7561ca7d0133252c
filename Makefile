# `make demo` sets everything up, trains, measures and serves. `make test` runs every check. Both need Python >= 3.11.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

# Read by the OpenMP runtimes when they are loaded; see docs/architecture.md, "Threads and memory".
export OMP_WAIT_POLICY ?= PASSIVE

DEMO_OPTIONS := $(if $(IMAGES),--images "$(IMAGES)") $(if $(PORT),--port $(PORT))

.PHONY: help demo test test-all lint format bench clean

help:
	@echo "make demo       set up, render the sample catalogue (or IMAGES=/path/to/folder), train, measure, serve"
	@echo "make test       lint, types, import contracts and the tests"
	@echo "make test-all   the same with the slow tests"
	@echo "make lint       lint, types and import contracts alone"
	@echo "make bench      the benchmarks (ONLY='engines recall', IMAGES=/path/to/folder), into docs/benchmarks.md"
	@echo "make clean      remove the environment and the demo"

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hdhe needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade pip
	$(RUN)/python -m pip install --quiet --editable '.[dev]'
	# What it asks for is there, but faiss-cpu must not be: it would take the place of faiss-gpu.
	$(RUN)/python -m pip install --quiet --no-deps 'milvus-lite>=3.2.2'
	touch $@

demo: $(VENV)/ready
	$(RUN)/hdhe demo $(DEMO_OPTIONS)

lint: $(VENV)/ready
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

format: $(VENV)/ready
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

# A process a core, a file to each in turn. The slow tests measure times, so they have the cores to themselves.
TOGETHER := --numprocesses logical --maxprocesses 8 --dist loadfile

test: lint
	$(RUN)/pytest $(TOGETHER)

test-all: test
	$(RUN)/pytest -m slow

bench: $(VENV)/ready
	$(RUN)/python -m pip install --quiet --editable '.[bench]'
	$(RUN)/python -m benchmarks $(ONLY) $(if $(IMAGES),--images "$(IMAGES)") $(if $(OML),--oml "$(OML)")

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
