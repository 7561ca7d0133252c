"""The command line as a user meets it: arguments in; output, one line on stderr and an exit code out."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hdhe

COMMANDS = ("demo", "models", "data", "train", "study", "evaluate", "embed", "index", "search", "serve")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Runner:
    monkeypatch.chdir(tmp_path)
    return Runner(monkeypatch, capsys)


class Runner:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int | str | None, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["hdhe", *arguments])
        with pytest.raises(SystemExit) as stopped:
            hdhe.main()
        return stopped.value.code, *self.capsys.readouterr()


def python(script: str, **environment: str) -> str:
    environ = os.environ | {"PYTHONPATH": str(Path(hdhe.__file__).parent)} | environment
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environ, check=True
    )
    return done.stdout.strip()


def test_help_waits_for_no_heavy_library() -> None:
    heavy = "{'torch', 'PIL', 'matplotlib', 'scipy', 'fastapi'}"
    assert python(f"import hdhe, sys; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_a_folder_that_is_no_collection_is_refused_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    script = (
        f"import hdhe, sys; sys.argv = ['hdhe', 'serve', '--collection', {str(tmp_path / 'nowhere')!r}]\n"
        "try: hdhe.main()\n"
        "except SystemExit as stop: print(stop.code, sorted({'torch', 'fastapi', 'uvicorn'} & set(sys.modules)))"
    )
    assert python(script) == "2 []"


def test_the_version_is_that_of_the_project(run: Runner) -> None:
    project = tomllib.loads(Path(hdhe.__file__).with_name("pyproject.toml").read_text())["project"]
    assert run("--version") == (0, f"hdhe {project['version']}\n", "")


def test_help_lists_the_commands(run: Runner) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for command in COMMANDS:
        assert f"  {command} " in out


def test_no_arguments_show_the_help(run: Runner) -> None:
    _, out, err = run()
    assert "evaluate" in out + err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Runner, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage:" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dance"], "No such command 'dance'"),
        (["evaluate", "--model"], "requires an argument"),
        (["search", "x.jpg"], "--collection"),
        (["search", "--collection", "nowhere", "x.jpg"], "nowhere is not a collection"),
        (["search", "--collection", "nowhere", "--k", "0", "x.jpg"], "--k"),
        (["search", "--collection", "nowhere", "--filter", "{", "x.jpg"], "--filter is not JSON"),
        (["index", "build", "--model", "m", "--images", "nowhere", "--collection", "c"], "nowhere"),
        (["index", "info", "--collection", "nowhere"], "nowhere"),
        (["index", "check", "--collection", "nowhere"], "nowhere"),
        (["embed", "--model", "m", "--images", ".", "--out", "e.txt"], "must end in .npz"),
        (["serve", "--collection", "nowhere", "--port", "0"], "nowhere is not a collection"),
        (["demo", "--images", "nowhere"], "nowhere is not a folder"),
        (["train", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_mistake_is_one_line_on_stderr_and_code_2(run: Runner, arguments: list[str], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("hdhe: ")
    assert len(err.splitlines()) == 1
    assert says in err


@pytest.mark.parametrize("threads", ["0", "-1", "many", ""])
def test_a_wrong_number_of_threads_is_named(
    run: Runner, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    monkeypatch.setenv("HDHE_THREADS", threads)
    code, _, err = run("models")
    assert code == 2
    assert "HDHE_THREADS" in err


def test_one_knob_sets_every_pool() -> None:
    script = (
        "import hdhe, torch, faiss, numpy, threadpoolctl;"
        "print(torch.get_num_threads(), faiss.omp_get_max_threads(),"
        " {pool['num_threads'] for pool in threadpoolctl.threadpool_info()})"
    )
    assert python(script, HDHE_THREADS="1") == "1 1 {1}"
