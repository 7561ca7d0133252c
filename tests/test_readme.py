"""The README is true: its commands run, its links lead somewhere, and the options it names exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import hdhe

ROOT = Path(hdhe.__file__).parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def named_commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for language, block in re.findall(
            r"^```(\w*)\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL
        ):
            if language == "text":  # what a command printed
                continue
            joined = block.replace("\\\n", " ")
            found += [(page.name, line) for line in joined.splitlines() if line.startswith("hdhe ")]
    return found


def test_every_command_and_option_in_the_pages_exists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = named_commands()
    assert len(commands) > 5
    helps: dict[tuple[str, ...], str] = {}
    for page, line in commands:
        words = shlex.split(line.split("#")[0])[1:]
        depth = 2 if words[0] in ("index", "data", "keys") else 1
        name = tuple(words[:depth])
        if name not in helps:
            monkeypatch.setattr(sys, "argv", ["hdhe", *name, "--help"])
            with pytest.raises(SystemExit) as stopped:
                hdhe.main()
            assert stopped.value.code == 0, f"{page}: {line}"
            helps[name] = capsys.readouterr().out
        for option in (word.split("=")[0] for word in words[depth:] if word.startswith("--")):
            assert re.search(rf"{re.escape(option)}\b", helps[name]), f"{page}: {line} names {option}"


@pytest.mark.slow
def test_the_commands_of_the_readme_run_one_after_the_other(tmp_path: Path) -> None:
    script = 'hdhe() { "$PYTHON" -m hdhe "$@"; }\nset -euo pipefail\n' + "\n".join(
        blocks(ROOT / "README.md", "sh")
    )
    environ = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    untrained, trained, by_student = map(
        float, re.findall(r"^Recall@1 +([\d.]+) %", done.stdout, re.MULTILINE)
    )
    assert trained > untrained + 25, "as the page says"
    assert by_student > 30
    assert "images indexed" in done.stdout
    assert (tmp_path / "runs/mine/bundle/model.json").is_file()
