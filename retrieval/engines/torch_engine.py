"""PyTorch: the reference engine, on a CUDA device where there is one.

The CUDA path has not been run on a GPU by the project's own checks; a test marked `gpu` in
`tests/retrieval/test_embedder.py` compares it with the CPU.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.bundle import Bundle


class TorchEngine:
    """Eager PyTorch in inference mode: channels_last, float32 on a CPU, bfloat16 autocast on a CUDA device.

    float32 on the CPU because these embeddings are the truth that other engines are compared with.
    """

    name = "torch"

    def __init__(self, bundle: Bundle) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = bundle.network.to(self.device).to(memory_format=torch.channels_last).eval()
        self.preprocessing = bundle.preprocessing

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8[n, p, p, 3] -> float32[n, d], each row of norm 1."""
        with (
            torch.inference_mode(),
            torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.device.type == "cuda"),
        ):
            batch = self.preprocessing.normalise(torch.from_numpy(images).to(self.device))
            embeddings = self.network.embed(batch)
        result: NDArray[np.float32] = embeddings.float().cpu().numpy()
        return result
