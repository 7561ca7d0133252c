from __future__ import annotations

import pytest

from retrieval import progress


def test_short_work_is_silent_away_from_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track([1, 2, 3], total=3, label="count")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")


def test_long_work_prints_plain_lines_to_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    list(progress.track("ab", total=2, label="embed", unit="images"))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(",")[0] for line in err.splitlines()] == [
        "embed: 1/2 images",
        "embed: 2/2 images",
        "embed: done",
    ]
