"""What a collection's folder holds, in numbers."""

from __future__ import annotations

from pathlib import Path

from indexes.collection import CollectionStats
from indexes.index_file import INDEX_NAME, IndexFileError, read_index_header
from indexes.index_trial import Trial
from indexes.item_rows import DATABASE_NAME, ItemRows


def stats_of(
    folder: Path, rows: ItemRows, *, index_kind: str, index_on_gpu: bool, index_recall: dict[int, float]
) -> CollectionStats:
    """Counted in the rows; what is said of the index is passed on."""
    with rows.database.reading() as connection:
        items, labels = rows.count(connection), rows.label_count(connection)
        sequence = rows.sequence(connection)
    return CollectionStats(
        items=items,
        labels=labels,
        sequence=sequence,
        embedding_size=rows.settings.embedding_size,
        model_fingerprint=rows.settings.model_fingerprint,
        index_kind=index_kind,
        index_on_gpu=index_on_gpu,
        index_recall=index_recall,
        bytes_on_disk=bytes_on_disk(folder),
    )


def stats_of_files(folder: Path) -> CollectionStats:
    """Those of a collection that is not open here; what they say of the index stands in its file."""
    rows = ItemRows(folder / DATABASE_NAME, read_only=True)
    try:
        try:
            header = read_index_header(folder / INDEX_NAME)
            kind, recall = header.kind, header.recall
        except IndexFileError:
            kind, recall = "none", {}
        return stats_of(folder, rows, index_kind=kind, index_on_gpu=False, index_recall=recall)
    finally:
        rows.database.close()


def last_trial(folder: Path) -> Trial | None:
    """What was last measured to choose the kind of index of a collection in a folder; None if that never was."""
    if not (folder / DATABASE_NAME).is_file():
        return None
    rows = ItemRows(folder / DATABASE_NAME, read_only=True)
    rows.database.close()
    return None if rows.settings.trial is None else Trial.from_json(rows.settings.trial)


def bytes_on_disk(folder: Path) -> int:
    """Of database, log and index file."""
    names = (DATABASE_NAME, f"{DATABASE_NAME}-wal", INDEX_NAME)
    return sum(path.stat().st_size for path in map(folder.joinpath, names) if path.exists())
