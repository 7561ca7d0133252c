"""Renderer of the sample catalogue: what a class of vases is, what one photo of it is, and how it is
drawn.
"""

from retrieval.datasets.pottery.design import Vase, design_vase
from retrieval.datasets.pottery.photo import photograph

__all__ = ["Vase", "design_vase", "photograph"]
