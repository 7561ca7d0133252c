"""How often a classifier is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from retrieval.datasets import Subset
from retrieval.networks.classifiers import ClassificationNetwork
from retrieval.transforms import Preprocessing
from training.batches import ImageSource

_KS = (1, 5)


@torch.inference_mode()
def score_classifier(
    network: ClassificationNetwork,
    subset: Subset,
    images: ImageSource,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
    *,
    batch: int,
) -> dict[str, Any]:
    """Top-1 error, and top-5 where there are more than five classes, as shares in 0..1. Leaves the network in eval
    mode.

    Labels of `subset` number the network's classes.
    """
    network.eval()
    labels = torch.from_numpy(subset.labels).to(accelerator.device)
    ks = [k for k in _KS if k < network.classes]
    wrong = dict.fromkeys(ks, 0)
    groups = np.split(np.arange(len(images)), range(batch, len(images), batch))
    for group, pixels in zip(groups, images.batches(groups), strict=True):
        with accelerator.autocast():
            logits = network(preprocessing.normalise(pixels, accelerator.device)).float()
        ranked = logits.topk(max(ks), dim=1).indices == labels[torch.from_numpy(group)][:, None]
        for k in ks:
            wrong[k] += int((~ranked[:, :k].any(1)).sum())
    return {
        "data": subset.name,
        "images": len(subset),
        "error": {str(k): count / len(subset) for k, count in wrong.items()},
        "pixels": preprocessing.pixels,
    }
