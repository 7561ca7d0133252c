"""All benchmarks, one after the other, and what they print as docs/benchmarks.md.

    python -m benchmarks [NAME...] [--images DIR] [--oml PYTHON] [--out FILE]
    make bench [ONLY="NAME..."] [IMAGES=DIR] [OML=PYTHON]

Each is a script of its own (`python benchmarks/NAME.py --help`) and runs in a process of its own. With names only these
run; the sections of the others stay as they are. With a folder of photos these are what is embedded, uploaded and
searched; without one, made-up vectors and the sample catalogue stand in. A section is written as soon as its script has
ended, so that an interrupted run loses one section at most. --oml is what `benchmarks/recall.py`
asks for. On a machine that does other work too, look at no figure.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEAD = """# Benchmarks

Written by `make bench`: a script a question, each section with its command, the machine, the versions, and what the
script printed. The contenders of a section took turns in one run, so that their ratios hold where the times may not.
"""

# They name another processor's kernels to NumPy and FAISS, which then measure something else.
MISLEADING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

EMBEDDED_BY = "single:efficientnet_lite0@128"


@dataclass(frozen=True)
class Section:
    """One script with its arguments. photos, vectors, oml: its option for the folder of photos, for their embeddings,
    and for the interpreter that has open-metric-learning.
    """

    name: str
    title: str
    arguments: tuple[str, ...] = ()
    photos: str | None = None
    vectors: str | None = None
    oml: str | None = None

    @property
    def script(self) -> str:
        """Its file's name without the ending: the section's up to a colon."""
        return self.name.split(":")[0]


SECTIONS = (
    Section("engines", "Engines: ResNet-50"),
    Section(
        "engines:lite0",
        "Engines: EfficientNet-Lite0",
        ("--backbone", "efficientnet_lite0", "--pixels", "128"),
    ),
    Section("recall", "Exact Recall@K"),
    Section(
        "recall:libraries",
        "Exact Recall@K by other libraries",
        ("--pml", "--rounds", "1", "--sizes", "512"),
        oml="--oml",
    ),
    Section("search", "Search at 60,000", vectors="--embeddings"),
    Section("collection_overhead", "What a collection adds to FAISS", vectors="--embeddings"),
    Section("growth", "From 10,000 to 1,000,000 items", vectors="--embeddings"),
    Section("bulk", "Filling a collection", photos="--images"),
    Section("training_speed", "Training beside a bare loop"),
    Section("service_load", "The service under load", photos="--images"),
)


def run(section: Section, images: Path | None, vectors: Path | None, oml: Path | None) -> str:
    """The section's text."""
    arguments = list(section.arguments)
    if section.photos and images:
        arguments += [section.photos, str(images)]
    if section.vectors and vectors:
        arguments += [section.vectors, str(vectors)]
    if section.oml and oml:
        arguments += [section.oml, str(oml)]
    script = f"benchmarks/{section.script}.py"
    started = time.perf_counter()
    printed = python(section.name, script, *arguments)
    minutes = (time.perf_counter() - started) / 60
    shown = [Path(argument).name if argument.startswith("/") else argument for argument in arguments]
    command = shlex.join(["python", script, *shown])
    today = datetime.now(UTC).date()
    return f"```bash\n{command}\n```\n\n{today}, {minutes:.1f} minutes.\n\n```text\n{printed.strip()}\n```\n"


def python(name: str, *arguments: str) -> str:
    """What it prints, run with these arguments at the root of the project. Ends everything, by name, if it fails."""
    environment = {key: value for key, value in os.environ.items() if key not in MISLEADING}
    environment["PYTHONPATH"] = str(HERE.parent)
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    command = [sys.executable, *arguments]
    try:
        return subprocess.run(
            command, cwd=HERE.parent, env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"benchmarks: {name} ended with exit code {error.returncode}") from None


def embed(images: Path, out: Path) -> None:
    """The vectors that are searched: of an untuned network, which needs no training first."""
    given = ("--model", EMBEDDED_BY, "--images", str(images), "--out", str(out))
    python("hdhe embed", "-m", "hdhe", "embed", *given)


def sections_of(text: str) -> dict[str, str]:
    """Title to text, of a page that was written before."""
    return {
        title: body.lstrip("\n")
        for title, _, body in (part.partition("\n") for part in text.split("\n## ")[1:])
    }


def page(sections: dict[str, str]) -> str:
    """All of it, in the order of the table above; what has not been run is not there."""
    parts = [
        f"## {each.title}\n\n{sections[each.title].rstrip()}\n" for each in SECTIONS if each.title in sections
    ]
    return "\n".join([HEAD, *parts])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for and write the page after each."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [section.name for section in SECTIONS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--images", type=Path, help="a folder of photos")
    parser.add_argument("--oml", type=Path, metavar="PYTHON", help="an interpreter with open-metric-learning")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "benchmarks.md")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in names]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; choose among {', '.join(names)}")
    if options.images is not None and not options.images.is_dir():
        parser.error(f"{options.images} is not a folder")
    if options.oml is not None and not options.oml.is_file():
        parser.error(f"{options.oml} is not an interpreter")

    chosen = [section for section in SECTIONS if section.name in (options.names or names)]
    done = sections_of(options.out.read_text()) if options.out.exists() else {}
    with tempfile.TemporaryDirectory() as home:
        vectors = None
        if options.images is not None and any(section.vectors for section in chosen):
            vectors = Path(home) / f"{options.images.name}.npz"
            embed(options.images.resolve(), vectors)
        images = options.images and options.images.resolve()
        # Not resolved: the link is what tells an interpreter which environment it is of.
        oml = options.oml and options.oml.absolute()
        for section in chosen:
            print(f"benchmarks: {section.name}", file=sys.stderr, flush=True)
            done[section.title] = run(section, images, vectors, oml)
            options.out.write_text(page(done))


if __name__ == "__main__":
    main()
