"""Comparing what two searches found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from indexes.collection import Hit

ROUNDING = 1e-6
"""A graph sums an inner product in another order when it meets a vector alone than when it meets four at a time."""


def assert_same_hits(found: Sequence[Sequence[Hit]], expected: Sequence[Sequence[Hit]]) -> None:
    """The same items in the same order, their scores equal but for the rounding of float32."""
    assert [_without_scores(hits) for hits in found] == [_without_scores(hits) for hits in expected]
    for hits, others in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            [hit.score for hit in hits], [hit.score for hit in others], rtol=0, atol=ROUNDING
        )


def _without_scores(hits: Sequence[Hit]) -> list[Hit]:
    return [replace(hit, score=0.0) for hit in hits]
