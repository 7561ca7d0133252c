"""What every engine does, and the table of those there are."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.errors import UserError

ENGINES = ("torch",)
"""Names that `make_engine` takes."""


class Engine(Protocol):
    """Runs one network. Safe for use from one thread at a time; `Embedder` holds the lock."""

    name: str

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8[n, p, p, 3] prepared images -> float32[n, d], each row of norm 1."""
        ...


def make_engine(name: str, bundle: Bundle) -> Engine:
    """The engine of this name for this model. Raises UserError for a name that is not in ENGINES."""
    if name == "torch":
        from retrieval.engines.torch_engine import TorchEngine

        return TorchEngine(bundle)
    raise UserError(f"engine must be one of {', '.join(ENGINES)}; got {name!r}")
