"""The option that says what runs a network, the same for every command."""

from __future__ import annotations

from typing import Annotated

import typer

EngineOption = Annotated[
    str,
    typer.Option(
        help="What runs the network: torch, torch-bf16, torch-compile, onnx, openvino, openvino-int8, or auto, the "
        "fastest of those that are exact; see docs/engines.md."
    ),
]
