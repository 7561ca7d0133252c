"""Asymmetric retrieval: a large model embeds the gallery once, a light one that shares its space embeds the queries
(Budnik & Avrithis, "Asymmetric metric learning for knowledge transfer", CVPR 2021).
"""

from __future__ import annotations

from retrieval.bundle import Bundle, load_bundle
from retrieval.errors import BundleError


def load_query_model(where: str, gallery_model: Bundle) -> Bundle:
    """Load a model whose embeddings may be compared with those of the gallery's model.

    Raises BundleError, one line, if it is no whole bundle, does not say that it embeds in that model's space, or gives
    embeddings of another size.
    """
    model = load_bundle(where)
    if not model.embeds_for(gallery_model.fingerprint):
        space = "its own space" if model.space is None else f"the space of another model ({model.space[:12]})"
        raise BundleError(
            f"the query model {where} embeds in {space}, not in that of the gallery's model "
            f"({gallery_model.fingerprint[:12]}); give a student that was distilled from that model to embed as it does"
        )
    if model.embedding_size != gallery_model.embedding_size:
        raise BundleError(
            f"the query model {where} gives embeddings of {model.embedding_size:,} numbers and the gallery's model of "
            f"{gallery_model.embedding_size:,}; distil a student of the gallery's embedding size"
        )
    return model
