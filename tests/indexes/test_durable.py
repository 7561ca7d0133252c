"""Files that are replaced at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexes.durable import replacing


def half_write(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"new")
        raise ValueError("half written")


def test_the_new_content_shows_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new, longer")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new, longer"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_leaves_the_old_content_and_no_stray(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="half written"):
        half_write(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_with_names_of_their_own_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path, writer="-a") as first, replacing(path, writer="-b") as second:
        first.write(b"aaaa")
        second.write(b"bb")
    assert path.read_bytes() == b"aaaa"  # the last to end
    assert list(tmp_path.iterdir()) == [path]
