"""How hard one search tries. It goes with the call: an index is shared, and its own settings are never changed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchWidth:
    """visited: vertices kept while a graph is walked (efSearch) or lists that are read (nprobe); 0 for a scan.

    depth: how many times over the spare candidates of a lossy kind are fetched to be re-ranked.
    """

    visited: int = 0
    depth: int = 1
