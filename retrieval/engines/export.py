"""Writing a model's network for another engine, once that has given the embeddings that torch gives."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.engines import onnx_engine, openvino_engine
from retrieval.engines.agreement import LEAST_COSINE, cosines
from retrieval.engines.engine import Engine, open_exported
from retrieval.engines.exported import Exported, write_exported
from retrieval.errors import BundleError

_WRITERS = {"onnx": onnx_engine.write, "openvino": openvino_engine.write}
_LIBRARIES = {
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime"),
    "openvino": ("torch", "onnx", "onnxscript", "openvino"),
    "openvino-int8": ("torch", "onnx", "onnxscript", "openvino", "nncf"),
}


def export(bundle: Bundle, engine: str, images: NDArray[np.uint8], *, images_of: str) -> Exported:
    """Export a model for `onnx` or `openvino` into its bundle's folder, replacing an export that is there.

    images: uint8[n, p, p, 3], n >= 1, prepared; each is embedded by both engines. images_of: what they are, for the
    record. A cosine with torch's of 0.999 is asked of each embedding: in the precision that is fastest here, and if one
    is below that, in float32, in which the export is then always run. Raises BundleError, and leaves everything as it
    was, if neither is close enough or the folder cannot be written; UserError where a library is missing.
    """

    def check(folder: Path, files: dict[str, str]) -> Exported:
        refused: dict[str, float] = {}
        for precision in (None, "float32"):
            made = open_exported(engine, folder, precision)
            if made.precision in refused:
                break
            agreement = cosines(made, bundle, images)
            if agreement.min() >= LEAST_COSINE:
                return described(bundle, made, agreement, images_of=images_of, refused=refused, files=files)
            refused[made.precision] = float(agreement.min())
        told = ", ".join(f"{cosine:.6f} in {precision}" for precision, cosine in refused.items())
        raise BundleError(
            f"the {engine} engine does not give this model's embeddings: the least cosine with torch's over "
            f"{len(images)} images of {images_of} is {told}, and it must be {LEAST_COSINE}; nothing was written. "
            f"Use --engine torch"
        )

    return write_exported(bundle, engine, lambda folder: _WRITERS[engine](bundle, folder), check)


def described(
    bundle: Bundle,
    engine: Engine,
    agreement: NDArray[np.float64],
    *,
    images_of: str,
    files: dict[str, str],
    refused: dict[str, float] | None = None,
    recall: dict[str, float] | None = None,
) -> Exported:
    """What there is to say of an export. agreement: float64[n], the cosines of its embeddings with torch's."""
    return Exported(
        engine=engine.name,
        fingerprint=bundle.fingerprint,
        mirror=bundle.network.spec.mirror,
        precision=engine.precision,
        cosine_min=float(agreement.min()),
        cosine_mean=float(agreement.mean()),
        images=len(agreement),
        images_of=images_of,
        refused=refused or {},
        recall=recall or {},
        versions={name: version(name) for name in _LIBRARIES[engine.name]},
        files=files,
    )
