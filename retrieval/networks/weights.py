"""Pretrained weights of a backbone: the published ImageNet ones, or a state dict from a file."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Literal, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from retrieval.errors import NetworkError
from retrieval.networks.backbone import Backbone

Weights: TypeAlias = Literal["imagenet"] | Path | None


def load_weights(network: nn.Module, backbone: Backbone, weights: Weights) -> dict[str, Tensor]:
    """Fill a backbone's published network, in place, but for its classifier; None leaves its random weights.

    A file holds the state dict under its publisher's keys (torchvision's, those of efficientnet-lite-pytorch, of
    MobileNet V1 those of `mobilenet_v1`); what belongs to the classifier may be there or not, and is returned as it is.
    Raises NetworkError when it cannot be had, read or fitted.
    """
    if weights is None:
        return {}
    if isinstance(weights, Path):
        state, source = read_state_dict(weights), str(weights)
    else:
        state, source = imagenet_state_dict(backbone), f"the ImageNet weights of {backbone.name}"
    classifier = {key: value for key, value in state.items() if key.startswith(backbone.unused)}
    given = {backbone.rename(key): value for key, value in state.items() if key not in classifier}
    fill(network, given, name=backbone.name, source=source, except_for=backbone.unused)
    return classifier


def fill(
    network: nn.Module, given: dict[str, Tensor], *, name: str, source: str, except_for: tuple[str, ...]
) -> None:
    """Load a state dict, in place. name: of the network; source: of the tensors, for messages.

    except_for: prefixes of keys of the network's that are not given, and keep their values. Raises NetworkError for
    keys that are missing or unknown and for shapes that do not fit.
    """
    own = network.state_dict()
    wanted = {key for key in own if not key.startswith(except_for)}
    # Files written by old versions of torch lack this counter, which nothing here reads.
    missing = {key for key in wanted - given.keys() if not key.endswith("num_batches_tracked")}
    if missing or given.keys() - wanted:
        raise NetworkError(
            f"{source} does not hold a {name}: {_list('missing', missing)}, "
            f"{_list('unknown', given.keys() - wanted)}"
        )
    for key, value in given.items():
        if value.shape != own[key].shape:
            raise NetworkError(
                f"{source} does not hold a {name}: {key} has shape {tuple(value.shape)}, "
                f"not {tuple(own[key].shape)}"
            )
    network.load_state_dict(given, strict=False)


def imagenet_state_dict(backbone: Backbone) -> dict[str, Tensor]:
    """The published ImageNet weights, downloaded or from an installed package. Raises NetworkError."""
    try:
        return backbone.imagenet()
    except (OSError, RuntimeError, ImportError) as error:
        # URLError is an OSError; a download with the wrong checksum is a RuntimeError.
        reason = " ".join(str(error).split())
        raise NetworkError(
            f"the ImageNet weights of {backbone.name} cannot be had here ({reason}); "
            "give the path of a state dict (.pth or .safetensors) as the weights instead"
        ) from error


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors by key from a `.safetensors` file, or from a `.pth` file without unpickling anything else."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise NetworkError(f"cannot read the weights {path}: {error.strerror or error}") from error
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise NetworkError(f"{path} is not a state dict in .pth or .safetensors format") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise NetworkError(f"{path} is not a state dict: it must hold tensors by key, and nothing else")
    return state


def _list(what: str, keys: set[str]) -> str:
    """`2 keys missing (conv1.weight, ...)`, short enough for one line."""
    if not keys:
        return f"no key {what}"
    first = min(keys)
    return f"{len(keys)} {what} ({first}{', ...' if len(keys) > 1 else ''})"
