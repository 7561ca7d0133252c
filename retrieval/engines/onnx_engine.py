"""ONNX Runtime on the processor, in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.engines import quiet_imports
from retrieval.engines.whole_graph import INPUT_NAME, write_onnx

FILE = "network.onnx"


class OnnxEngine:
    """Runs the exported graph with as many threads as torch would take."""

    name = "onnx"
    precision = "float32"

    def __init__(self, folder: Path) -> None:
        ort = quiet_imports.onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        # As OMP_WAIT_POLICY=PASSIVE does for the other pools: a thread that waits leaves its core to others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena keeps the memory of the largest batch ever seen for good.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            folder / FILE, sess_options=options, providers=["CPUExecutionProvider"]
        )

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8[n, p, p, 3] -> float32[n, d], each row of norm 1."""
        result: NDArray[np.float32] = self._session.run(None, {INPUT_NAME: images})[0]
        return result


def write(bundle: Bundle, folder: Path) -> None:
    """Write the files of the engine into a folder."""
    write_onnx(bundle, folder / FILE)
