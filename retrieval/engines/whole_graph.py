"""Everything between the bytes of prepared images and their embeddings as one graph, for engines beside torch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from retrieval.bundle import Bundle
from retrieval.engines import quiet_imports
from retrieval.engines.folding import with_folded_norms

INPUT_NAME, OUTPUT_NAME = "images", "embeddings"


class WholeGraph(nn.Module):
    """uint8[n, p, p, 3] -> float32[n, d], each row of norm 1: normalisation, both views and the joining included."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        # Engines fold by themselves, but not before they are quantised, and a smaller graph is sooner read.
        self.network = with_folded_norms(bundle.network, bundle.preprocessing.pixels).cpu()
        self.register_buffer("mean", torch.tensor(bundle.preprocessing.mean) * 255)
        self.register_buffer("std", torch.tensor(bundle.preprocessing.std) * 255)

    def forward(self, images: Tensor) -> Tensor:
        """As of the class."""
        assert isinstance(self.mean, Tensor)
        assert isinstance(self.std, Tensor)
        return self.network.embed(((images.float() - self.mean) / self.std).permute(0, 3, 1, 2))


def write_onnx(bundle: Bundle, path: Path) -> None:
    """Write the graph of a model, for any number of images, as one ONNX file.

    Raises UserError where onnxscript is not installed.
    """
    quiet_imports.onnxscript()
    pixels = bundle.preprocessing.pixels
    # Two images, because torch takes a batch of one for a constant.
    example = torch.zeros(2, pixels, pixels, 3, dtype=torch.uint8)
    with torch.no_grad():
        traced = torch.export.export(
            WholeGraph(bundle), (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False
        )
        program = torch.onnx.export(
            traced, dynamo=True, input_names=[INPUT_NAME], output_names=[OUTPUT_NAME], verbose=False
        )
    assert program is not None
    program.save(path)
