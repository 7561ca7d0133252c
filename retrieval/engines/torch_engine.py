"""PyTorch, as it is (the reference), in bfloat16, and compiled; on a CUDA device where there is one.

The CUDA path has not been run on a GPU by the project's own checks; a test marked `gpu` in
`tests/retrieval/test_embedder.py` compares it with the CPU.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from retrieval.bundle import Bundle
from retrieval.engines.folding import with_folded_norms
from retrieval.errors import UserError
from retrieval.products import fast_dtype


class TorchEngine:
    """Eager PyTorch in inference mode: channels_last, float32 on a CPU, bfloat16 autocast on a CUDA device.

    float32 on the CPU, and the network exactly as it was trained, because these embeddings are the truth that other
    engines are compared with.
    """

    name = "torch"

    def __init__(self, bundle: Bundle, device: str | None = None) -> None:
        """device: None takes a CUDA device where there is one. A device by name gets a copy of the network, and the
        bundle's stays where another engine has put it.
        """
        network = bundle.network if device is None else deepcopy(bundle.network)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self.preprocessing = bundle.preprocessing
        self.autocast = self.device.type == "cuda"
        self.precision = "bfloat16" if self.autocast else "float32"
        self._run: Callable[[Tensor], Tensor] = self.network.embed

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8[n, p, p, 3] -> float32[n, d], each row of norm 1."""
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            batch = self.preprocessing.normalise(torch.from_numpy(images).to(self.device))
            embeddings = self._run(batch)
        result: NDArray[np.float32] = embeddings.float().cpu().numpy()
        return result


class FastTorchEngine(TorchEngine):
    """A copy of the network with batch normalisations folded and bfloat16 weights, under autocast.

    Raises UserError on a processor without bfloat16 instructions, where it would be slower than float32.
    """

    name = "torch-bf16"

    def __init__(self, bundle: Bundle) -> None:
        if not can_bfloat16():
            raise UserError(
                f"this processor has no bfloat16 instructions, which {self.name} needs; use --engine torch"
            )
        super().__init__(bundle)
        self.autocast, self.precision = True, "bfloat16"
        self.network = with_folded_norms(self.network, self.preprocessing.pixels)
        for module in self.network.modules():
            # Autocast would round them to the same values at every call.
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(torch.bfloat16)
        self._run = self.network.embed


class CompiledTorchEngine(FastTorchEngine):
    """The same through `torch.compile`. The first batch, and the first of one image, take a minute.

    Raises UserError where there is no C++ compiler.
    """

    name = "torch-compile"

    def __init__(self, bundle: Bundle) -> None:
        if shutil.which("g++") is None and shutil.which("clang++") is None:
            raise UserError(
                f"{self.name} needs a C++ compiler (g++ or clang++); install one, or use --engine torch-bf16"
            )
        super().__init__(bundle)
        # With neither True nor False, torch compiles for the first batch's size, and at another size once for all.
        self._run = torch.compile(self._run)


def can_bfloat16() -> bool:
    """Whether bfloat16 is faster than float32 here: on a CUDA device, or a processor with instructions for it."""
    return torch.cuda.is_available() or fast_dtype() == torch.bfloat16
