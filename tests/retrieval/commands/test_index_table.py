"""`hdhe index info` shows what was tried; `--memory` takes bytes or a unit."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hdhe
from indexes import LocalCollection, index_choice, index_kinds, index_trial
from retrieval.commands.index_options import memory_bytes
from retrieval.errors import UserError
from tests.indexes.unit_vectors import FINGERPRINT, items

D, N = 16, 3000
Run = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(index_trial, "_TIMED", 3)
    for module in (index_kinds, index_choice):
        monkeypatch.setattr(module, "FLAT_FLOATS", 500 * D)
    with LocalCollection.create("shop", embedding_size=D, model_fingerprint=FINGERPRINT) as collection:
        collection.upsert(items(N, D))

    def command(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["hdhe", *arguments])
        with pytest.raises(SystemExit) as stopped:
            hdhe.main()
        return stopped.value.code, *capsys.readouterr()

    return command


def test_what_was_tried_is_shown(run: Run) -> None:
    assert "index_trial" in run("index", "info", "--collection", "shop", "--json")[1]
    assert "measured" not in run("index", "info", "--collection", "shop")[1]
    rebuilt = run(
        "index", "rebuild", "--collection", "shop", "--index", "auto", "--recall", "0.9", "--memory", "400k"
    )
    assert rebuilt[0] == 0
    code, out, _ = run("index", "info", "--collection", "shop")
    lines = out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("measured for 3,000 items on all"))
    assert code == 0
    assert "recall 0.9 of exact search wanted, within 400.0 KiB" in lines[head]
    assert lines[head + 1].split()[:2] == ["kind", "recall@10"]
    assert len(lines) == head + 2 + len(index_trial.CANDIDATES)
    (chosen,) = [line.split()[0] for line in lines if " * " in line]
    trial = json.loads(run("index", "info", "--collection", "shop", "--json")[1])["index_trial"]
    assert (trial["chosen"], trial["memory"]) == (chosen, 400 << 10)
    shown = {line.split()[0]: line for line in lines[head + 2 :]}
    for each in trial["tried"]:
        expected = each["reason"] or f"{each['recall']:.4f}"
        assert expected in shown[each["kind"]]


def test_a_wish_that_cannot_be_is_one_line(run: Run) -> None:
    for options, message in (
        (["--recall", "1.5"], "recall must be above 0 and at most 1; got 1.5"),
        (["--memory", "much"], "--memory must be a number of bytes, or like 800M or 16G; got 'much'"),
        (["--index", "cagra"], "index cagra needs a GPU"),
        (["--index", "lsh"], "index must be one of auto, flat,"),
    ):
        code, out, err = run("index", "rebuild", "--collection", "shop", *options)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1


def test_memory_in_bytes() -> None:
    assert memory_bytes(None) is None
    assert memory_bytes("8000") == 8000
    assert memory_bytes("800M") == 800 << 20
    assert memory_bytes("1.5 GiB") == 3 << 29
    with pytest.raises(UserError, match="got '-1'"):
        memory_bytes("-1")
