"""What a collection holds, in lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexes.collection import CollectionStats


def stats_lines(stats: CollectionStats) -> list[str]:
    """A line for each fact: its name and its value."""
    recall = {
        f"recall@{k}": f"{value:.4f}".rstrip("0").ljust(3, "0") for k, value in stats.index_recall.items()
    }
    facts = {
        "items": f"{stats.items:,}",
        "labels": f"{stats.labels:,}",
        "sequence": f"{stats.sequence:,}",
        "embedding size": f"{stats.embedding_size:,}",
        "model fingerprint": stats.model_fingerprint,
        "index kind": stats.index_kind,
        "index on gpu": "yes" if stats.index_on_gpu else "no",
        **(recall or {"index recall": "not measured"}),
        "size on disk": readable_bytes(stats.bytes_on_disk),
    }
    return [f"{name:18} {value}" for name, value in facts.items()]


def readable_bytes(count: int) -> str:
    """12.3 MiB."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
