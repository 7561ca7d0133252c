"""A CSV manifest: columns `path` and `label`, optionally `split`, and any others, which become attributes.

Paths are relative to the manifest's folder. A column whose every value is a number (or true/false) becomes
numbers (or booleans), so that a filter can compare them; numbers with leading zeros are kept as text, since
they are codes. An empty cell is an attribute that the image does not have.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from pathlib import Path

from retrieval.datasets.dataset import ALL, QUERY_GALLERY, ImageDataset, Record, Scalar, alternate_classes
from retrieval.datasets.folder import readable_files
from retrieval.errors import DataError

_COLUMNS = ("path", "label", "split")
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d+)?([eE][+-]?\d+)?")


def read(path: Path) -> ImageDataset:
    """Read a manifest. Without a `split` column: `train` and `validation`, every other class by label, and
    `all`.

    Images that are missing or unreadable are left out and named in `problems`. Raises DataError, with the
    line's number, for everything else that is wrong.
    """
    rows = _rows(path)
    lines_of: dict[Path, int] = {}
    for number, row in rows:
        image = path.parent / row["path"]
        if image in lines_of:
            raise DataError(f"{path}, line {number}: {row['path']} is already on line {lines_of[image]}")
        lines_of[image] = number
    readable, problems = readable_files(lines_of)
    kept = set(readable)
    rows = [(number, row) for number, row in rows if path.parent / row["path"] in kept]
    if not rows:
        first = f"; for instance {problems[0]}" if problems else ""
        raise DataError(f"{path} names no readable image{first}")
    has_splits = "split" in rows[0][1]
    split_of = {} if has_splits else alternate_classes(row["label"] for _, row in rows)
    names = [name for name in rows[0][1] if name not in _COLUMNS]
    columns = {name: _typed([row[name] for _, row in rows]) for name in names}
    records = []
    for place, (_, row) in enumerate(rows):
        attributes = {name: value for name in names if (value := columns[name][place]) is not None}
        split = row["split"] if has_splits else split_of[row["label"]]
        records.append(Record(path.parent / row["path"], row["label"], split, attributes))
    if len({record.label for record in records}) < 2:
        raise DataError(f"{path} has one class, {records[0].label!r}; retrieval needs two or more")
    splits = (
        list(dict.fromkeys(record.split for record in records)) if has_splits else ["train", "validation"]
    )
    name = path.parent.name if path.name == "manifest.csv" else path.stem
    return ImageDataset(
        name,
        path.parent,
        tuple(records),
        (*splits, ALL),
        _default(splits, has_splits),
        problems=tuple(problems),
    )


def _default(splits: list[str], has_splits: bool) -> str:
    if not has_splits:
        return ALL
    if {"query", "gallery"} <= set(splits):
        return QUERY_GALLERY
    return next((split for split in ("test", "validation") if split in splits), ALL)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of each row, checked to be complete."""
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        # utf-8-sig: spreadsheets put a byte order mark before the first column's name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(header)} cells expected, {len(cells)} found"
                    )
                row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
                for name in _COLUMNS:
                    if row.get(name) == "" or "\0" in row.get(name, ""):
                        raise DataError(f"{path}, line {reader.line_num}: {name} is empty")
                if row.get("split") == ALL:
                    raise DataError(
                        f"{path}, line {reader.line_num}: 'all' is every split's name; choose another"
                    )
                rows.append((reader.line_num, row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {error}") from None
    if not rows:
        raise DataError(f"{path} has no rows below its header")
    return rows


def _check_header(path: Path, header: list[str]) -> None:
    for name in ("path", "label"):
        if name not in header:
            raise DataError(
                f"{path} needs a column {name!r}; its header has {', '.join(header) or 'nothing'}"
            )
    repeated = [name for name in header if header.count(name) > 1]
    if repeated:
        raise DataError(f"{path} has the column {repeated[0]!r} twice")
    if "" in header:
        raise DataError(f"{path}: column {header.index('') + 1} has no name")


def _typed(cells: Iterable[str]) -> list[Scalar | None]:
    """One column's values: all whole numbers, or all numbers, or all booleans, or else all text."""
    cells = list(cells)
    filled = [cell for cell in cells if cell]
    convert: type[int] | type[float] | type[str]
    if filled and all(cell.lower() in ("true", "false") for cell in filled):
        return [cell.lower() == "true" if cell else None for cell in cells]
    if filled and all(_INTEGER.fullmatch(cell) for cell in filled):
        convert = int
    elif filled and all(_is_decimal(cell) for cell in filled):
        convert = float
    else:
        convert = str
    return [convert(cell) if cell else None for cell in cells]


def _is_decimal(cell: str) -> bool:
    # The pattern alone would let an exponent through without any digits before it.
    return (
        bool(_DECIMAL.fullmatch(cell))
        and any(c.isdigit() for c in cell.lower().split("e")[0])
        and (math.isfinite(float(cell)))
    )
