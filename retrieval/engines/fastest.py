"""Which engine is the fastest for a model on this machine: measured once, and remembered beside the model.

BUNDLE/fastest.json says what was found and on what. It is measured again on another processor, with another number of
threads, with other versions of the libraries, and when the model was exported anew. Where the folder cannot be written
it is measured at each start.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.durable import replacing
from retrieval.engines import quiet_imports
from retrieval.engines.agreement import LEAST_COSINE, cosines, sample_images
from retrieval.engines.engine import Engine, make_engine
from retrieval.engines.exported import read_exported
from retrieval.engines.torch_engine import can_bfloat16
from retrieval.errors import BundleError

logger = logging.getLogger(__name__)

FILE = "fastest.json"

COMPARED = ("torch", "torch-bf16", "onnx", "openvino")
"""Those that give torch's embeddings up to rounding and start in seconds. Others have to be asked for by name."""

_LIBRARY = {"onnx": "onnxruntime", "openvino": "openvino"}
_IMAGES, _ROUNDS = 4, 3


def fastest_engine(bundle: Bundle) -> Engine:
    """The engine of COMPARED that is fastest for a model here, among those installed and exported.

    It takes the milliseconds of a few batches of each engine once, and afterwards what was found then.
    """
    conditions = _conditions(bundle)
    if len(conditions["engines"]) == 1:
        return make_engine("torch", bundle)
    found = _remembered(bundle, conditions)
    if found is not None:
        return make_engine(found, bundle)
    engines = {name: make_engine(name, bundle) for name in conditions["engines"]}
    milliseconds = compare(engines, bundle, sample_images(bundle, _IMAGES))
    best = min(milliseconds, key=milliseconds.__getitem__)
    logger.info("the fastest engine here is %s; milliseconds for %d images: %s", best, _IMAGES, milliseconds)
    _remember(bundle, {"engine": best, "milliseconds": milliseconds, "images": _IMAGES, **conditions})
    return engines[best]


def compare(engines: dict[str, Engine], bundle: Bundle, images: NDArray[np.uint8]) -> dict[str, float]:
    """Median milliseconds of each engine for a batch, in turns, of those that give the embeddings of torch."""
    # The comparison with the reference warms up too: libraries get ready for a size of batch when they first see it.
    agreeing = {
        name: engine
        for name, engine in engines.items()
        if name == "torch" or cosines(engine, bundle, images).min() >= LEAST_COSINE
    }
    seconds: dict[str, list[float]] = {name: [] for name in agreeing}
    for engine in agreeing.values():
        engine.embed(images)
    for _ in range(_ROUNDS):
        for name, engine in agreeing.items():
            started = time.perf_counter()
            engine.embed(images)
            seconds[name].append(time.perf_counter() - started)
    return {name: round(1000 * statistics.median(taken), 2) for name, taken in seconds.items()}


def _conditions(bundle: Bundle) -> dict[str, Any]:
    """All that the answer depends on. `engines`: {name: what tells this one from another of its name}."""
    engines = {"torch": version("torch")}
    if can_bfloat16():
        engines["torch-bf16"] = version("torch")
    for name, library in _LIBRARY.items():
        if bundle.folder is None or not quiet_imports.is_installed(library):
            continue
        try:
            exported = read_exported(bundle, name)
            engines[name] = f"{version(library)} {exported.precision} {sorted(exported.files.values())}"
        except (BundleError, PackageNotFoundError):
            continue
    return {
        "fingerprint": bundle.fingerprint,
        "mirror": bundle.network.spec.mirror,
        "processor": _processor(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "engines": engines,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    instructions = [name for name, there in torch.cpu.get_capabilities().items() if there is True]
    return " ".join([*dict.fromkeys(names), platform.machine(), f"x {os.cpu_count()}", *sorted(instructions)])


def _remembered(bundle: Bundle, conditions: dict[str, Any]) -> str | None:
    if bundle.folder is None:
        return None
    try:
        document = json.loads((bundle.folder / FILE).read_text())
        name = document["engine"]
        return name if {key: document[key] for key in conditions} == conditions and name in COMPARED else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing, damaged or of another version: measured again


def _remember(bundle: Bundle, document: dict[str, Any]) -> None:
    if bundle.folder is None:
        return
    try:
        with replacing(bundle.folder / FILE, writer=f"-{os.getpid()}") as file:
            file.write(json.dumps(document, indent=2).encode() + b"\n")
    except OSError as error:
        logger.info("%s cannot be kept (%s); the engines are measured again next time", FILE, error)
