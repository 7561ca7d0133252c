"""OpenVINO on the processor: bfloat16 where it has instructions for that, else float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.engines import quiet_imports
from retrieval.engines.whole_graph import write_onnx

FILE, WEIGHTS = "network.xml", "network.bin"


class OpenVinoEngine:
    """Runs the exported graph with as many threads as torch would take, in one precision."""

    name = "openvino"

    def __init__(self, folder: Path, precision: str | None = None, *, name: str = "openvino") -> None:
        """precision: what is not in 8 bits; `bfloat16` or `float32`; None takes bfloat16 where that is faster."""
        self.name = name
        core = quiet_imports.openvino().Core()
        native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = "bfloat16" if native and precision != "float32" else "float32"
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # One batch at a time by all threads; batches are the caller's, who decodes in between.
            "PERFORMANCE_HINT": "LATENCY",
            # Threads bound to cores cannot make way for those that decode, nor for another process.
            "ENABLE_CPU_PINNING": False,
        }
        self._network = core.compile_model(folder / FILE, "CPU", settings)

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8[n, p, p, 3] -> float32[n, d], each row of norm 1."""
        result: NDArray[np.float32] = self._network(np.ascontiguousarray(images), share_inputs=True)[0]
        return result


def write(bundle: Bundle, folder: Path) -> None:
    """Write the files of the engine into a folder."""
    save(read(bundle, folder), folder)


def read(bundle: Bundle, folder: Path) -> Any:
    """The graph of a model as an `openvino.Model`. By way of an ONNX file, which OpenVINO reads without its converter
    (that reports what it converts to its makers).
    """
    openvino = quiet_imports.openvino()
    path = folder / "network.onnx"
    write_onnx(bundle, path)
    graph = openvino.Core().read_model(path.read_bytes())
    path.unlink()
    return graph


def save(graph: Any, folder: Path) -> None:
    """Write an `openvino.Model` with its float32 weights as they are."""
    quiet_imports.openvino().save_model(graph, folder / FILE, compress_to_fp16=False)
