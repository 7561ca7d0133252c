"""Whitening a model by labelled images, without training it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from retrieval.bundle import Bundle
from retrieval.datasets import Subset
from retrieval.embedder import Embedder
from retrieval.networks import Ensemble
from retrieval.networks.ensemble import with_whitening, without_whitening
from retrieval.scoring import embed_subset


def whiten(
    bundle: Bundle, subset: Subset, size: int | None, *, report: Callable[[str], None]
) -> tuple[Ensemble, int]:
    """The network of a bundle with the whitening that suits its embeddings of a subset, in the place of one it has;
    and by how many images.

    size: length of the embedding then; None: as it was before any whitening. report: takes a line for each image that
    cannot be decoded and is left out. Raises NetworkError for a size that is too large, DataError if no image can be
    decoded, UserError for classes that say nothing (`whitening_of`).
    """
    network = with_whitening(bundle.network, size)
    assert network.whitening is not None
    plain = replace(bundle, network=without_whitening(bundle.network))
    embeddings, kept = embed_subset(Embedder(plain), subset, report)
    network.whitening.fit(embeddings, subset.labels[kept])
    return network, len(kept)
