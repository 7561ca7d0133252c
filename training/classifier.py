"""The throw-away classifiers: one per head, trained with cross-entropy and left out of the bundle.

Source: the classifier block of Ro & Choi's retrieval networks (HDhE, IEEE Access 2020), with its initialisation.
"""

from __future__ import annotations

from torch import nn

HIDDEN = 512


def class_logits(features: int, classes: int) -> nn.Linear:
    """A last layer that starts almost at zero, so that all classes begin equally likely."""
    layer = nn.Linear(features, classes)
    nn.init.normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)
    return layer


def class_block(features: int, classes: int) -> nn.Sequential:
    """Linear - batch norm - LeakyReLU(0.1) - Dropout(0.5) - Linear.

    Maps float[n, features] to logits float[n, classes]. In train mode n must be at least 2, as for any batch norm
    over single values.
    """
    hidden = nn.Linear(features, HIDDEN)
    nn.init.kaiming_normal_(hidden.weight, mode="fan_out")
    nn.init.zeros_(hidden.bias)
    norm = nn.BatchNorm1d(HIDDEN)
    nn.init.normal_(norm.weight, mean=1.0, std=0.02)
    nn.init.zeros_(norm.bias)
    return nn.Sequential(hidden, norm, nn.LeakyReLU(0.1), nn.Dropout(0.5), class_logits(HIDDEN, classes))
