"""A trained model on disk: a folder that can be read by people, checked, and loaded without unpickling.

    BUNDLE/
      model.json            format version, network spec, preprocessing, embedding size, recipe, scores, fingerprint;
                            of a student that shares a teacher's space, that teacher's fingerprint as `space`
      weights.safetensors   the network's state dict
      onnx/, openvino/, ... the network exported for other engines by `hdhe export` (`engines/exported`); derived from
                            the weights, and gone when another bundle is written in the place of this one
      fastest.json          which engine was the fastest on the machine that asked last (`engines/fastest`)

A bundle is written into a folder beside the target and renamed, so a crash while a new one is made leaves
nothing but a stray folder `.NAME.tmp-*`, which may be deleted. When an old one is replaced, a crash between the two
renames leaves it whole as `.NAME.tmp-*-old`; rename it back, or write again. The fingerprint is the SHA-256 of all that
decides an embedding (spec, preprocessing, weights), so two bundles of the same fingerprint give the same vectors.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from retrieval.durable import sync
from retrieval.errors import BundleError
from retrieval.networks import (
    BACKBONES,
    PRESETS,
    Ensemble,
    build_ensemble,
    preset_spec,
    spec_from_dict,
    spec_to_dict,
)
from retrieval.networks.backbones import backbone_row
from retrieval.transforms import Preprocessing

FORMAT_VERSION = 1

FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Bundle:
    """A network ready to embed, and what is known of it.

    network: in eval mode. fingerprint: 64 hexadecimal digits. recipe: what it was trained with ({} if it was not).
    scores: what it reached and on what. pretraining: the weights that training started from. space: fingerprint of the
    model in whose space its embeddings lie, of a student that was trained for that; None: a space of its own. folder:
    where it was read from; None: it is in no folder.
    """

    network: Ensemble
    preprocessing: Preprocessing
    fingerprint: str
    recipe: dict[str, Any]
    scores: list[dict[str, Any]]
    pretraining: str
    space: str | None = None
    folder: Path | None = None

    @property
    def embedding_size(self) -> int:
        """Length of an embedding."""
        return self.network.embedding_size

    def embeds_for(self, fingerprint: str) -> bool:
        """Whether its embeddings may be compared with those of the model of this fingerprint: the same, or one in whose
        space it was trained to embed.
        """
        return fingerprint in (self.fingerprint, self.space)


def fingerprint_of(spec: dict[str, Any], preprocessing: dict[str, Any], weights: dict[str, Tensor]) -> str:
    """SHA-256, as 64 hexadecimal digits, of all that decides what an image's embedding is."""
    digest = hashlib.sha256()
    digest.update(json.dumps([spec, preprocessing], sort_keys=True).encode())
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_bundle(
    folder: Path,
    network: Ensemble,
    preprocessing: Preprocessing,
    *,
    recipe: dict[str, Any],
    scores: list[dict[str, Any]],
    pretraining: str,
    space: str | None = None,
) -> str:
    """Write a bundle, replacing one that is there; returns its fingerprint. Raises BundleError on a full disk.

    space: as of `Bundle`.
    """
    spec = spec_to_dict(network.spec)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    fingerprint = fingerprint_of(spec, preprocessing.to_dict(), weights)
    document = {
        "format_version": FORMAT_VERSION,
        "fingerprint": fingerprint,
        "spec": spec,
        "preprocessing": preprocessing.to_dict(),
        "embedding_size": network.embedding_size,
        "pretraining": pretraining,
        "scores": scores,
        "recipe": recipe,
    }
    if space is not None:
        document["space"] = space
    if folder.exists() and not (folder / "model.json").is_file() and any(folder.iterdir()):
        raise BundleError(f"{folder} holds something else than a model bundle; choose another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.tmp-", dir=folder.parent))
        try:
            temporary.chmod(0o755)
            save_file(weights, temporary / "weights.safetensors")
            (temporary / "model.json").write_text(json.dumps(document, indent=2) + "\n")
            for path in (temporary / "weights.safetensors", temporary / "model.json", temporary):
                sync(path)
            _replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, safetensors.SafetensorError) as error:
        raise BundleError(
            f"the bundle {folder} cannot be written: {error}; free some space and repeat"
        ) from error
    return fingerprint


def load_bundle(where: Path | str) -> Bundle:
    """Read a bundle folder; or, for `PRESET:BACKBONE` or `PRESET:BACKBONE@PIXELS`, build the network with its
    ImageNet weights and no fine-tuning. Raises BundleError, one line, for anything that is not a whole bundle.
    """
    preset, colon, backbone = str(where).partition(":")
    if colon and preset in PRESETS and not Path(where).exists():
        return _untuned(preset, *backbone.split("@", 1))
    folder = Path(where)
    document = _read_document(folder)
    try:
        spec = spec_from_dict(document["spec"])
        preprocessing = Preprocessing.from_dict(document["preprocessing"])
        recorded, recipe, scores = document["fingerprint"], document["recipe"], document["scores"]
        pretraining, space = document["pretraining"], document.get("space")
        if space is not None and not (isinstance(space, str) and FINGERPRINT.fullmatch(space)):
            raise ValueError(f"space must be a fingerprint; got {space!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{folder / 'model.json'} is damaged ({error!r}); export the bundle again"
        ) from error
    path = folder / "weights.safetensors"
    network = build_ensemble(spec, weights=None)
    try:
        weights = load_file(path)
        network.load_state_dict(weights)
    except FileNotFoundError as error:
        raise BundleError(f"{path} is missing; export the bundle again") from error
    except (safetensors.SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(
            f"{path} is damaged or of another network ({reason}); export the bundle again"
        ) from error
    fingerprint = fingerprint_of(document["spec"], document["preprocessing"], weights)
    if fingerprint != recorded:
        raise BundleError(
            f"{folder} was changed after it was written (its fingerprint differs); export it again"
        )
    return Bundle(network.eval(), preprocessing, fingerprint, recipe, scores, pretraining, space, folder)


def _untuned(preset: str, backbone: str, pixels: str | None = None) -> Bundle:
    if backbone not in BACKBONES:
        raise BundleError(f"no backbone {backbone!r}; choose one of {', '.join(BACKBONES)}")
    if pixels is not None and not (pixels.isdecimal() and 32 <= int(pixels) <= 1024):
        raise BundleError(
            f"pixels must be a number from 32 to 1024; got {pixels!r} in {preset}:{backbone}@{pixels}"
        )
    network = build_ensemble(preset_spec(preset, backbone), weights="imagenet").eval()
    row = backbone_row(backbone)
    preprocessing = Preprocessing(pixels=int(pixels) if pixels else row.pixels, mean=row.mean, std=row.std)
    spec = spec_to_dict(network.spec)
    fingerprint = fingerprint_of(spec, preprocessing.to_dict(), dict(network.state_dict()))
    return Bundle(network, preprocessing, fingerprint, {}, [], "ImageNet, not fine-tuned")


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    if not path.is_file():
        within = folder / "bundle"
        if (within / "model.json").is_file():
            raise BundleError(f"{folder} is not a model bundle but a training run's folder; give {within}")
        raise BundleError(
            f"{folder} is not a model bundle (no model.json); give the bundle/ folder of a training run, "
            f"or PRESET:BACKBONE such as single:efficientnet_lite0"
        )
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read ({error}); export the bundle again") from error
    if isinstance(document, dict) and document.get("kind") == "classifier":
        raise BundleError(
            f"{folder} is a classifier, which gives no embeddings; give the bundle of a network that embeds"
        )
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{path} has format version {version!r}, this release reads {FORMAT_VERSION}; "
            f"export the bundle again with this release or use the one that wrote it"
        )
    result: dict[str, Any] = document
    return result


def _replace(temporary: Path, folder: Path) -> None:
    """Put the new folder in the old one's place. Between the two renames only the old one's copy is on disk."""
    old = temporary.with_name(temporary.name + "-old")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
