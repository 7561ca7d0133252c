"""The walk from a folder of labelled photos to a running search page, as the six commands that a user would type.

Each step leaves something in the demo's folder, and a step whose result is there is not run again: the second demo
goes straight to the last command. The steps are run as commands, in processes of their own, because that is what they
are: the demo shows the command line, and adds nothing to it. What ends the demo ends the command that it is at.
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import DataError, UserError
from service.command_process import run_command
from service.listening import listen

RECIPE = "sample_catalogue"
UNTUNED = "hdhe:efficientnet_lite0@96"
"""The recipe's network at the recipe's pixels, as ImageNet left it."""
BEFORE, AFTER = "recall_before.txt", "recall_after.txt"
"""What the two evaluations printed."""


@dataclass(frozen=True)
class Step:
    """One command of the walk. result: the file or folder that it leaves; `show`: whether its output is the result."""

    title: str
    arguments: tuple[str, ...]
    result: Path
    show: bool = False


def steps(folder: Path, images: Path | None) -> list[Step]:
    """The commands up to the one that serves, in order."""
    photos = images or folder / "images"
    run = folder / "run"
    resume = ("--resume",) if (run / "recipe.yaml").exists() else ()
    collection = ("--collection", str(folder / "collection"))
    score = ("--data", str(photos), "--split", "validation")
    walk = [
        Step(
            "Score the network as ImageNet left it, on classes that training will not see",
            ("evaluate", "--model", UNTUNED, *score),
            folder / BEFORE,
            show=True,
        ),
        Step(
            "Fine-tune the double-head ensemble on the other classes",
            ("train", RECIPE, "--set", f"data.name={photos}", "--out", str(run), *resume),
            run / "bundle",
        ),
        Step(
            "Score it again, on the same unseen classes",
            ("evaluate", "--model", str(run / "bundle"), *score),
            folder / AFTER,
            show=True,
        ),
        Step(
            "Put all images into a searchable collection",
            (
                "index",
                "build",
                "--model",
                str(run / "bundle"),
                "--images",
                str(photos),
                *collection,
                "--skip-existing",
            ),
            folder / "indexed.txt",
            show=True,
        ),
    ]
    if images is None:
        sample = Step(
            "Render the sample catalogue", ("data", "sample", str(photos)), folder / "sampled.txt", show=True
        )
        walk.insert(0, sample)
    return walk


def run_demo(folder: Path, images: Path | None, *, host: str, port: int) -> int:
    """Run what is missing, then serve until interrupted; returns the exit code of the last command.

    Raises UserError if `images` is no folder, if the folder was used for other images, or if the port is taken.
    """
    if images is not None and not images.is_dir():
        raise DataError(f"{images} is not a folder; give one that holds a folder of images for each class")
    _claim(folder, images)
    _check_port(host, port)
    for step in steps(folder, images):
        if step.result.exists():
            _say(f"{step.title}: there already ({step.result})")
            if step.show:
                print(step.result.read_text(), end="", flush=True)
            continue
        code = _run(step)
        if code:
            return code
    gained = gain((folder / BEFORE).read_text(), (folder / AFTER).read_text())
    if gained is not None:
        _say(gained)
    serve = ("serve", "--collection", str(folder / "collection"), "--host", host, "--port", str(port))
    _say(
        f"Serve it: open http://{host}:{port}/ and drop an image from {images or folder / 'images'}; Ctrl-C ends it"
    )
    return run_command(_command(serve))[0]


def gain(before: str, after: str) -> str | None:
    """A line of what training brought, from what `hdhe evaluate` printed before and after; None without scores."""
    changes = []
    for score in ("Recall@1", "MAP@R"):
        found = [re.search(rf"^{score} +([\d.]+) %$", text, re.MULTILINE) for text in (before, after)]
        untrained, trained = (each and float(each[1]) for each in found)
        if untrained is None or trained is None:
            return None
        changes.append(f"{score} {untrained:.1f} % -> {trained:.1f} %")
    return f"Untrained -> trained, on classes that training did not see: {', '.join(changes)}"


def _run(step: Step) -> int:
    _say(step.title)
    print(f"$ hdhe {shlex.join(step.arguments)}", flush=True)
    code, output = run_command(_command(step.arguments), capture=step.show)
    print(output, end="", flush=True)
    if code == 0 and step.show:
        # Written under another name first: the file stands for a step that ended well.
        temporary = step.result.with_suffix(".part")
        temporary.write_text(output)
        temporary.rename(step.result)
    return code


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "hdhe", *arguments]


def _claim(folder: Path, images: Path | None) -> None:
    """Remember which images the folder's results are of, and refuse others."""
    name = "the sample catalogue" if images is None else str(images.resolve())
    note = folder / "images_from.txt"
    if note.is_file() and note.read_text().strip() != name:
        raise UserError(
            f"{folder} holds a demo of {note.read_text().strip()}; delete it, or choose another folder with --out"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(name + "\n")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); choose another with --out"
        ) from error


def _check_port(host: str, port: int) -> None:
    """Fail now rather than after minutes of training."""
    try:
        listen(host, port).close()
    except UserError as error:
        raise UserError(f"{error} (make demo PORT=NUMBER)") from None


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)
