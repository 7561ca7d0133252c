"""What all networks for CIFAR have in common: size and statistics of their images, and how their weights start."""

from __future__ import annotations

from torch import nn

from retrieval.networks.classifier_parts import ClassifierParts

PIXELS = 32

# Of CIFAR-10's training images, as Zagoruyko & Komodakis, "Wide Residual Networks" (BMVC 2016), scale them; the
# papers on distillation use them for CIFAR-100 too.
MEAN = (125.3 / 255, 123.0 / 255, 113.9 / 255)
STD = (63.0 / 255, 62.1 / 255, 66.7 / 255)

STEM_CHANNELS = 16


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Without bias; padded so that stride 1 keeps the map's size and stride 2 gives ceil(size / 2).

    Weights from N(0, 2 / (kernel^2 outputs)): He et al., "Delving Deep into Rectifiers" (ICCV 2015), eq. 14.
    """
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def cifar_parts(
    stem: nn.Module, groups: tuple[list[nn.Module], ...], tail: nn.Module | None, feature_size: int
) -> ClassifierParts:
    """The parts of a network whose blocks are made."""
    return ClassifierParts(
        stem=stem,
        groups=groups,
        tail=tail,
        hidden=None,
        feature_size=feature_size,
        pixels=PIXELS,
        mean=MEAN,
        std=STD,
    )
