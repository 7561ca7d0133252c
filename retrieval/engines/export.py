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
    record. Raises BundleError, and leaves everything as it was, if an embedding has a cosine below 0.999 with torch's,
    or the folder cannot be written; UserError where a library is missing.
    """

    def check(folder: Path, files: dict[str, str]) -> Exported:
        made = open_exported(engine, folder)
        agreement = cosines(made, bundle, images)
        if not agreement.min() >= LEAST_COSINE:  # so that NaN is refused too
            raise BundleError(
                f"the {engine} engine does not give this model's embeddings: the least cosine with torch's over "
                f"{len(images)} images of {images_of} is {agreement.min():.6f}, and it must be {LEAST_COSINE}; "
                f"nothing was written. Use --engine torch"
            )
        return described(bundle, made, agreement, images_of=images_of, recall={}, files=files)

    return write_exported(bundle, engine, lambda folder: _WRITERS[engine](bundle, folder), check)


def described(
    bundle: Bundle,
    engine: Engine,
    agreement: NDArray[np.float64],
    *,
    images_of: str,
    recall: dict[str, float],
    files: dict[str, str],
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
        recall=recall,
        versions={name: version(name) for name in _LIBRARIES[engine.name]},
        files=files,
    )
