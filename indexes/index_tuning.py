"""The narrowest search that finds enough: fewest vertices or lists visited, fewest spare candidates re-ranked."""

from __future__ import annotations

from collections.abc import Callable

from indexes.index_kinds import IndexKind
from indexes.search_width import SearchWidth

WANTED_RECALL = 0.99
"""Of exact search, for the ten nearest, where the user names none."""

_FEWEST_VISITED, MOST_VISITED = 4, 1024
_DEPTHS = (1, 2, 4, 8)
_HALVINGS = 3
"""Of the last interval; the width is then within an eighth of the narrowest."""
_MARGIN = 0.5
"""Of the misses that are allowed: what is tuned on a sample misses more elsewhere, and neighbours that are alike are
missed together.
"""
_NO_GAIN = 0.0005


def tuned(
    recall_at: Callable[[SearchWidth], float], kind: IndexKind, wanted: float
) -> tuple[SearchWidth, float]:
    """The width that reaches the wanted recall, with what it reaches; or else the one that reaches most."""
    goal = wanted + _MARGIN * (1 - wanted)
    widest, most = SearchWidth(), -1.0
    for depth in _DEPTHS if kind.lossy else (1,):
        visited, before = (_FEWEST_VISITED if kind.visited else 0), -1.0
        while True:
            width = SearchWidth(visited, depth)
            recall = recall_at(width)
            if recall >= goal:
                return _narrowed(recall_at, width, recall, goal)
            if recall > most:
                widest, most = width, recall
            # Where visiting more no longer helps, the codes lose what is missing.
            stuck = visited > 64 and recall < before + _NO_GAIN and kind.lossy
            if visited == 0 or visited >= MOST_VISITED or stuck:
                break
            visited, before = 2 * visited, recall
    return widest, most


def widened(
    recall_at: Callable[[SearchWidth], float], width: SearchWidth, wanted: float
) -> tuple[SearchWidth, float]:
    """A width in use, or twice that as often as it takes to reach the wanted recall, with what it reaches."""
    while (recall := recall_at(width)) < wanted and 0 < width.visited < MOST_VISITED:
        width = SearchWidth(2 * width.visited, width.depth)
    return width, recall


def _narrowed(
    recall_at: Callable[[SearchWidth], float], enough: SearchWidth, reached: float, goal: float
) -> tuple[SearchWidth, float]:
    too_few = enough.visited // 2
    for _ in range(_HALVINGS if enough.visited > _FEWEST_VISITED else 0):
        middle = SearchWidth((too_few + enough.visited) // 2, enough.depth)
        if middle.visited in (too_few, enough.visited):
            break
        recall = recall_at(middle)
        if recall >= goal:
            enough, reached = middle, recall
        else:
            too_few = middle.visited
    return enough, reached
