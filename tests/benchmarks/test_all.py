"""`python -m benchmarks`: what the scripts print becomes a page, one section at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as benchmarks


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been run; each prints its own script's name."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command[1:])
        return SimpleNamespace(stdout=f"| of | {command[1]} |\n\n")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_a_section_that_is_run_again_takes_its_own_place(ran: list[list[str]], tmp_path: Path) -> None:
    out = tmp_path / "benchmarks.md"
    benchmarks.main(["search", "engines", "--out", str(out)])
    before = out.read_text()
    assert before.index("## Engines: ResNet-50") < before.index("## Search at 60,000")
    assert before.count("## ") == 2
    out.write_text(before.replace("| of | benchmarks/search.py |", "| measured | yesterday |"))

    benchmarks.main(["engines", "--out", str(out)])
    assert "| measured | yesterday |" in out.read_text()
    benchmarks.main(["search", "--out", str(out)])
    assert out.read_text() == before


def test_every_script_is_run_and_every_section_has_one(ran: list[list[str]], tmp_path: Path) -> None:
    benchmarks.main(["--out", str(tmp_path / "benchmarks.md")])
    scripts = {f"benchmarks/{path.name}" for path in benchmarks.HERE.glob("[!_]*.py")}
    assert {command[0] for command in ran} == scripts


def test_photos_are_embedded_once_and_given_to_those_that_take_them(
    ran: list[list[str]], tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    benchmarks.main(
        ["search", "growth", "bulk", "recall", "--images", str(photos), "--out", str(tmp_path / "b.md")]
    )
    embed, *scripts = ran
    assert embed[:3] == ["-m", "hdhe", "embed"]
    vectors = embed[-1]
    by_name = {command[0]: command[1:] for command in scripts}
    assert by_name["benchmarks/search.py"] == by_name["benchmarks/growth.py"] == ["--embeddings", vectors]
    assert by_name["benchmarks/bulk.py"] == ["--images", str(photos)]
    assert str(photos) not in by_name["benchmarks/recall.py"]
    # A page is for others: the folders of this machine do not stand in it.
    assert str(tmp_path) not in (tmp_path / "b.md").read_text()


def test_another_environment_is_named_by_its_own_link(ran: list[list[str]], tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    benchmarks.main(["recall", "recall:libraries", "--oml", str(python), "--out", str(tmp_path / "b.md")])
    alone, libraries = ran
    assert "--oml" not in alone
    assert libraries[libraries.index("--oml") + 1] == str(python)
    assert str(tmp_path) not in (tmp_path / "b.md").read_text()


def test_a_script_that_fails_leaves_what_was_measured_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "benchmarks.md"
    out.write_text(benchmarks.page({"Search at 60,000": "kept\n"}))
    before = out.read_text()

    def fail(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(3, command)

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(SystemExit, match="search ended with exit code 3"):
        benchmarks.main(["search", "--out", str(out)])
    assert out.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["speed"], "there is no benchmark 'speed'; choose among engines"),
        (["--images", "nowhere"], "nowhere is not"),
        (["--oml", "nowhere"], "nowhere is not an interpreter"),
    ],
)
def test_a_mistake_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmarks.main(arguments)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err
