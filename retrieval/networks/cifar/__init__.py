"""Small networks for images of 32 x 32 pixels: three groups of blocks, at output strides 1, 2 and 4."""

from retrieval.networks.cifar.table import CIFAR_NETWORKS, CIFAR_PATTERNS, cifar_network

__all__ = ["CIFAR_NETWORKS", "CIFAR_PATTERNS", "cifar_network"]
