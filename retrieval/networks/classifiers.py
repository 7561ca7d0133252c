"""Networks that give logits: the small ones for CIFAR, and every backbone with its class layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from retrieval.errors import NetworkError
from retrieval.networks.backbone import output_channels
from retrieval.networks.backbones import BACKBONES, backbone_row
from retrieval.networks.cifar import CIFAR_NETWORKS, CIFAR_PATTERNS, cifar_network
from retrieval.networks.classifier_parts import ClassifierParts
from retrieval.networks.cost import multiply_adds
from retrieval.networks.head import SpatialPool
from retrieval.networks.weights import Weights, fill, load_weights, read_state_dict

# What `hdhe models` lists; any depth and width of the families for CIFAR can be named too.
CLASSIFIERS: tuple[str, ...] = (*CIFAR_NETWORKS, *BACKBONES)

# Heo et al., "Knowledge Transfer via Distillation of Activation Boundaries" (AAAI 2019), start the class layer of a
# backbone from N(0, 0.01^2).
NEW_CLASSIFIER_DEVIATION = 0.01


class ClassificationNetwork(nn.Module):
    """Stem, groups of blocks, pooling, class layer. Build it with `build_classifier`.

    stem, groups (`B1`, `B2`, ...: the blocks in order), tail, pool, hidden, classifier: the parts, in the order of the
        forward pass; tail and hidden are the identity where the family has none.
    classes: how many logits. feature_size: length of the vector that they are computed from.
    pixels, mean, std: image side and channel statistics that the network is made for. It takes any side >= 16, those of
        backbones any >= 32.
    """

    def __init__(self, name: str, classes: int, parts: ClassifierParts) -> None:
        super().__init__()
        self.name, self.classes, self.feature_size = name, classes, parts.feature_size
        self.pixels, self.mean, self.std = parts.pixels, parts.mean, parts.std
        self.stem = parts.stem
        self.groups = nn.ModuleDict()
        for index, blocks in enumerate(parts.groups):
            self.groups[f"B{index + 1}"] = nn.Sequential(*blocks)
        self.tail = nn.Identity() if parts.tail is None else parts.tail
        self.pool = SpatialPool("avg")
        self.hidden = nn.Identity() if parts.hidden is None else parts.hidden
        self.classifier = nn.Linear(parts.feature_size, classes)

    def feature_map(self, images: Tensor) -> Tensor:
        """images: float[n, 3, h, w], normalised, to the map float[n, c, h', w'] that the pooling sees."""
        x: Tensor = self.stem(images)
        for group in self.groups.values():
            x = group(x)
        mapped: Tensor = self.tail(x)
        return mapped

    def forward_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images: float[n, 3, h, w], normalised. Returns features float[n, feature_size], logits float[n, classes]."""
        feature: Tensor = self.hidden(self.pool(self.feature_map(images)))
        return feature, self.classifier(feature)

    def forward(self, images: Tensor) -> Tensor:
        """images: float[n, 3, h, w], normalised, to logits float[n, classes]."""
        return self.forward_features(images)[1]


@dataclass(frozen=True)
class ClassifierCost:
    """Size and work of a classification network with its class layer.

    parameters: all. gmacs: 1e9 multiply-adds of convolutions and linear layers for one image of pixels x pixels.
    """

    parameters: int
    gmacs: float
    feature_size: int
    classes: int
    pixels: int


def build_classifier(name: str, classes: int, *, weights: Weights = None) -> ClassificationNetwork:
    """Build a classification network, in training mode. Dropout, which some publishers use, is left out.

    name: `wrn-16-2`, `cifar-resnet-56`, `pyramidnet-110-84` and the like, or a backbone. weights: None for random ones;
    of a backbone, those that `build_ensemble` takes; of a network for CIFAR, the path of its own state dict. The class
    layer is theirs if they have one of as many classes, so that ImageNet weights give ImageNet's logits; else it is
    new. Raises NetworkError for an unknown name and for weights that cannot be had.
    """
    if classes < 1:
        raise NetworkError(f"a classification network needs at least one class; got {classes}")
    if name in BACKBONES:
        return _build_backbone(name, classes, weights)
    parts = cifar_network(name)
    if parts is None:
        raise NetworkError(
            f"a classification network is {', '.join(CIFAR_PATTERNS)} (such as wrn-16-2, cifar-resnet-56, "
            f"pyramidnet-110-84), or a backbone: {', '.join(BACKBONES)}; got {name!r}"
        )
    network = ClassificationNetwork(name, classes, parts)
    nn.init.zeros_(network.classifier.bias)
    if weights is not None:
        if not isinstance(weights, Path):
            raise NetworkError(
                f"there are no ImageNet weights of {name}; leave them out, or give the path of its state dict"
            )
        state = read_state_dict(weights)
        given = {key: value for key, value in state.items() if not key.startswith("classifier.")}
        fill(network, given, name=name, source=str(weights), except_for=("classifier.",))
        _copy_linear(network.classifier, state, "classifier")
    return network


def classifier_cost(name: str, classes: int | None = None, pixels: int | None = None) -> ClassifierCost:
    """Cost at an image size, by default the network's own. Raises NetworkError for an unknown name.

    classes: by default those of the data that the papers show the network, CIFAR-100's 100 or ImageNet's 1000.
    """
    if classes is None:
        classes = 1000 if name in BACKBONES else 100
    with torch.device("meta"):
        network = build_classifier(name, classes).eval()
    side = network.pixels if pixels is None else pixels
    return ClassifierCost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        gmacs=multiply_adds(network, side) / 1e9,
        feature_size=network.feature_size,
        classes=classes,
        pixels=side,
    )


def _build_backbone(name: str, classes: int, weights: Weights) -> ClassificationNetwork:
    row = backbone_row(name)
    published = row.build()
    given = load_weights(published, row, weights)
    view = row.view(published, row)
    size = output_channels(view.groups[-1][-1] if view.tail is None else view.tail)
    if view.hidden is not None and row.hidden is not None:
        linear = cast(nn.Linear, view.hidden[0])
        _copy_linear(linear, given, row.hidden)
        size = linear.out_features
    parts = ClassifierParts(
        stem=view.stem,
        groups=view.groups,
        tail=view.tail,
        hidden=view.hidden,
        feature_size=size,
        pixels=view.pixels,
        mean=view.mean,
        std=view.std,
    )
    network = ClassificationNetwork(name, classes, parts)
    nn.init.normal_(network.classifier.weight, std=NEW_CLASSIFIER_DEVIATION)
    nn.init.zeros_(network.classifier.bias)
    _copy_linear(network.classifier, given, row.logits)
    return network


def _copy_linear(layer: nn.Linear, state: dict[str, Tensor], key: str) -> None:
    """Load a linear layer where the state dict has one of its size under this key."""
    given = {field: state[f"{key}.{field}"] for field in ("weight", "bias") if f"{key}.{field}" in state}
    if {field: value.shape for field, value in given.items()} == {
        "weight": layer.weight.shape,
        "bias": layer.bias.shape,
    }:
        layer.load_state_dict(given)
