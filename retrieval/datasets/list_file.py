"""The list files that published data sets come with: columns separated by blanks, one image a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from retrieval.errors import DataError


def require_file(path: Path, dataset: str) -> Path:
    """Return the path if a file is there; raise DataError saying what is looked for otherwise."""
    if not path.is_file():
        raise DataError(f"{path} is missing; `hdhe data list` shows where {dataset} is expected")
    return path


def read_columns(path: Path, columns: int, *, skip: int = 0) -> Iterator[list[str]]:
    """Yield the columns of each line after the first `skip` lines; blank lines are passed over.

    The last column may contain blanks. Raises DataError with the line's number where columns are missing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from None
    for number, line in enumerate(lines[skip:], start=skip + 1):
        if not line.strip():
            continue
        values = line.split(maxsplit=columns - 1)
        if len(values) != columns:
            raise DataError(f"{path}, line {number}: {columns} columns expected, {len(values)} found")
        yield [value.strip() for value in values]


def whole_number(text: str, path: Path) -> int:
    """Parse an id of a list file; raise DataError naming the file if it is none."""
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{path}: a number expected, {text[:40]!r} found") from None
