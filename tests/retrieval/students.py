"""Bundles of small networks with random weights: a teacher, and students that say they share its space."""

from __future__ import annotations

from pathlib import Path

import torch

from retrieval.bundle import save_bundle
from retrieval.networks import EnsembleSpec, HeadSpec, build_ensemble
from retrieval.transforms import Preprocessing


def write_model(
    folder: Path, *, seed: int = 0, pixels: int = 32, size: int = 16, space: str | None = None
) -> str:
    """Write a bundle that embeds in `size` numbers; returns its fingerprint."""
    torch.manual_seed(seed)
    spec = EnsembleSpec("mobilenet_v3_small", "B3", (HeadSpec("res4_1", reduction="linear", size=size),))
    return save_bundle(
        folder,
        build_ensemble(spec, weights=None),
        Preprocessing(pixels),
        recipe={},
        scores=[],
        pretraining="none",
        space=space,
    )
