"""The study of what later work adds to the authors' recipe of `hdhe`, one key at a time and all together."""

from __future__ import annotations

from typing import Any

from training.studies.study import Row, Study

_CROP: dict[str, Any] = {"images.crop": {}}
_LOW_TEMPERATURE: dict[str, Any] = {"loss.name": "norm_softmax", "loss.settings": {"temperature": 0.05}}
_AVERAGE: dict[str, Any] = {"schedule.average": 0.99}
_PAIR: dict[str, Any] = {
    "loss.pair": {"name": "multi_similarity", "weight": 1.0},
    "sampler.images_per_class": 4,
}
_COLOUR: dict[str, Any] = {"images.colour": {}}
_LARGER: dict[str, Any] = {"images.scored_pixels": 132}
_PIXELS = 132
_BEST: dict[str, Any] = {"network.preset": "best", **_CROP, **_COLOUR, **_AVERAGE, **_LARGER}
_WHITENING: dict[str, Any] = {"whitening": {}}


def beyond(backbone: str) -> Study:
    """Each addition alone upon `hdhe`, then all."""
    return Study(
        name="beyond",
        question="What does each later idea add to the authors' recipe of HDhE, alone and with the others?",
        claim="None of the slides': these ideas are from elsewhere.",
        base={"network.preset": "hdhe"},
        rows=(
            Row("HDhE"),
            Row("random-resized crop", _CROP),
            Row("random colours", _COLOUR),
            Row("GeM pooling", {"network.pool": "gem"}),
            Row("average and max pooling", {"network.pool": "avg+max"}),
            Row("layer norm", {"network.norm": "layer"}),
            Row("low temperature", _LOW_TEMPERATURE),
            Row("classifiers at four times the rate", {"optimiser.classifier_lr": 0.08}),
            Row("average of weights", _AVERAGE),
            Row("mixup of embeddings", {"loss.mixup": {}}),
            Row("distillation among heads", {"loss.distil_heads": {}}),
            Row("pair term", _PAIR),
            Row("whitening", _WHITENING),
            Row(f"scored at {_PIXELS} pixels", _LARGER),
            Row(f"crop and scored at {_PIXELS} pixels", _CROP | _LARGER),
            Row(f"trained and scored at {_PIXELS} pixels", {"images.pixels": _PIXELS}),
            # 132 pixels cost the preset `best` what 96 cost `hdhe`.
            Row("best", _BEST),
            Row("best and whitening", _BEST | _WHITENING),
        ),
    )
