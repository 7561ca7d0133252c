"""Whitening a network that has been trained, by the images it was trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from retrieval.datasets import Subset
from retrieval.errors import UserError
from retrieval.networks import Ensemble, EnsembleSpec, cost
from retrieval.networks.ensemble import with_whitening
from retrieval.transforms import Preprocessing
from training.batches import ImageSource
from training.sections.whitening import WhiteningSection
from training.validation import embeddings_of


def finished_spec(spec: EnsembleSpec, section: WhiteningSection | None) -> EnsembleSpec:
    """The spec of what a run with this section leaves."""
    if section is None:
        return spec
    return replace(spec, whitened=section.size or cost(spec).embedding_size)


def check_whitening(section: WhiteningSection | None, network: Ensemble, labels: NDArray[np.int64]) -> None:
    """Raises UserError, before anything is trained, for a size that the network's embedding does not have, and for
    training labels int64[n] of which no two are the same.
    """
    if section is None:
        return
    if len(np.unique(labels)) == len(labels):
        raise UserError(
            "whitening needs classes of two or more images, to see how images of a class differ; set whitening to null"
        )
    joined = sum(network.feature_sizes)
    if section.size is not None and section.size > joined:
        raise UserError(
            f"whitening.size must be at most {joined}, which is the embedding's length; got {section.size}"
        )


def whiten(
    section: WhiteningSection,
    network: Ensemble,
    subset: Subset,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
    *,
    batch: int,
    workers: int,
) -> Ensemble:
    """A copy of a network, in eval mode, with the whitening that suits its embeddings of a subset.

    preprocessing: of images as they are scored. workers: decoding threads. Raises UserError for classes that say
    nothing, as `whitening_of`.
    """
    whitened = with_whitening(network.eval(), section.size)
    assert whitened.whitening is not None
    images = ImageSource(
        subset.paths, preprocessing, cache_bytes=0, workers=workers, label="images to whiten by"
    )
    embeddings = embeddings_of(network, images, preprocessing, accelerator, batch=batch)
    whitened.whitening.fit(embeddings, subset.labels)
    return whitened
