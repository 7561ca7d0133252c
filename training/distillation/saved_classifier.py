"""A trained classifier on disk, to teach others: what a bundle is for networks that embed.

    FOLDER/
      model.json            the network's name, classes, preprocessing, recipe, scores, seed of its first weights
      weights.safetensors   its state dict

model.json is written last and at once, so a folder that has it is whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import load_file

from retrieval.errors import BundleError
from retrieval.networks.classifiers import ClassificationNetwork, build_classifier
from retrieval.transforms import Preprocessing
from training.run_folder import write_weights, write_whole

_KIND = "classifier"


@dataclass(frozen=True)
class SavedClassifier:
    """network: in eval mode. classes: their names, in the order of the logits. scores: what it reached and on what.
    seed: of the random numbers that it began with; None where that is not known.
    """

    network: ClassificationNetwork
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    scores: list[dict[str, Any]]
    seed: int | None


def save_classifier(
    folder: Path,
    network: ClassificationNetwork,
    preprocessing: Preprocessing,
    *,
    classes: tuple[str, ...],
    recipe: dict[str, Any],
    scores: list[dict[str, Any]],
    seed: int,
) -> None:
    """Write a classifier. Raises BundleError where the disk refuses."""
    document = {
        "kind": _KIND,
        "network": network.name,
        "classes": list(classes),
        "preprocessing": preprocessing.to_dict(),
        "scores": scores,
        "recipe": recipe,
        "seed": seed,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_weights(folder / "weights.safetensors", network.state_dict())
        write_whole(folder / "model.json", json.dumps(document, indent=2) + "\n")
    except (OSError, safetensors.SafetensorError) as error:
        raise BundleError(f"{folder} cannot be written: {error}; free some space and add --resume") from error


def load_classifier(folder: Path) -> SavedClassifier:
    """Read a classifier. Raises BundleError, one line, for anything else."""
    try:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{folder} holds no model: model.json is missing or damaged; give the bundle/ folder of a finished run"
        ) from error
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise BundleError(
            f"{folder} holds a network that embeds, not a classifier; a classifier's teacher must be one: "
            "train it with hdhe distill"
        )
    try:
        classes = tuple(str(name) for name in document["classes"])
        network = build_classifier(document["network"], len(classes), weights=None)
        network.load_state_dict(load_file(folder / "weights.safetensors"))
        preprocessing = Preprocessing.from_dict(document["preprocessing"])
        scores = list(document["scores"])
        # Not in the files of versions that gave every network its recipe's seed.
        seed = document.get("seed", document["recipe"].get("seed"))
    except (AttributeError, KeyError, TypeError, OSError, RuntimeError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{folder} is damaged ({reason}); train the classifier again") from error
    return SavedClassifier(network.eval(), classes, preprocessing, scores, seed)
