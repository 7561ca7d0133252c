"""What every engine does, and the table of those there are."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.errors import BundleError, UserError

EXPORTED = ("onnx", "openvino", "openvino-int8")
"""Engines that run a file which `hdhe export` made."""

ENGINES = ("torch", "torch-bf16", "torch-compile", *EXPORTED, "auto")
"""Names that `make_engine` takes. Each has its precision in its name or none of its own, so that one word says all."""


class Engine(Protocol):
    """Runs one network. Safe for use from one thread at a time; `Embedder` holds the lock.

    precision: `float32` or `bfloat16`, in which it multiplies what is not in 8 bits.
    """

    name: str
    precision: str

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8[n, p, p, 3] prepared images -> float32[n, d], each row of norm 1."""
        ...


def make_engine(name: str, bundle: Bundle) -> Engine:
    """The engine of this name for this model; of `auto` the fastest one here.

    Raises UserError for a name that is not in ENGINES, where a library or an instruction set is missing, and where the
    model is not exported for it.
    """
    if name == "torch":
        from retrieval.engines.torch_engine import TorchEngine

        return TorchEngine(bundle)
    if name == "torch-bf16":
        from retrieval.engines.torch_engine import FastTorchEngine

        return FastTorchEngine(bundle)
    if name == "torch-compile":
        from retrieval.engines.torch_engine import CompiledTorchEngine

        return CompiledTorchEngine(bundle)
    if name == "auto":
        from retrieval.engines.fastest import fastest_engine

        return fastest_engine(bundle)
    if name in EXPORTED:
        from retrieval.engines.exported import export_folder, read_exported

        exported = read_exported(bundle, name)
        return open_exported(name, export_folder(bundle, name), exported.precision)
    raise UserError(f"engine must be one of {', '.join(ENGINES)}; got {name!r}")


def open_exported(name: str, folder: Path, precision: str | None = None) -> Engine:
    """The engine of a folder that an export made, in a precision, or in the one that is fastest here.

    Raises UserError where its library is not installed, BundleError where that cannot read the files.
    """
    try:
        if name == "onnx":
            from retrieval.engines.onnx_engine import OnnxEngine

            return OnnxEngine(folder)
        from retrieval.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(folder, precision, name=name)
    except UserError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no class in common but this
        reason = str(error).strip().splitlines()[0]
        raise BundleError(
            f"{folder} cannot be read by the library that is installed ({reason}); export again"
        ) from error
