"""Loading the libraries of the optional engines, without what they send to their makers when they are imported.

ONNX Runtime (since 1.29) and OpenVINO report their use over the network unless told not to, and keep an identifier in
the home folder. A tool that looks at its user's photos must not do that unasked.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from retrieval.errors import UserError


def onnxruntime() -> Any:
    """The module `onnxruntime`. Raises UserError where it is not installed."""
    # Read once, when the library is loaded (ONNX Runtime's docs/Privacy.md). Whoever has set it has decided.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return _imported("onnxruntime", extra="onnx")


def onnxscript() -> Any:
    """The module `onnxscript`, by which torch writes ONNX. Raises UserError where it is not installed."""
    _imported("onnx", extra="onnx")
    return _imported("onnxscript", extra="onnx")


def openvino() -> Any:
    """The module `openvino`. Raises UserError where it is not installed."""
    _without_openvino_telemetry()
    return _imported("openvino", extra="openvino")


def nncf() -> Any:
    """The module `nncf`, by which OpenVINO is quantised. Raises UserError where it is not installed."""
    _without_openvino_telemetry()
    return _imported("nncf", extra="int8")


def is_installed(module: str) -> bool:
    """Whether a module could be imported, without importing it."""
    return find_spec(module) is not None


def _without_openvino_telemetry() -> None:
    # OpenVINO and NNCF have a stand-in that sends nothing, for installations without this package.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: "cannot be imported"


def _imported(module: str, *, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(
            f"this engine needs {module} ({error}); install it with: pip install 'hdhe[{extra}]'"
        ) from error
