"""Listening to a forward pass from outside: hooks that hear one thread, and that are gone afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class Listener:
    """Calls functions with what goes into modules and what comes out of them. Use it within `listening`."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._handles: list[RemovableHandle] = []

    def before(self, module: nn.Module, hear: Callable[[Tensor], None]) -> None:
        """Call `hear` with the module's first argument before each of its calls."""

        def hook(_: nn.Module, inputs: Any) -> None:
            if threading.get_ident() == self._thread:
                hear(inputs[0])

        self._handles.append(module.register_forward_pre_hook(hook))

    def behind(self, module: nn.Module, hear: Callable[[Tensor], None]) -> None:
        """Call `hear` with the module's output behind each of its calls."""

        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            if threading.get_ident() == self._thread:
                hear(output)

        self._handles.append(module.register_forward_hook(hook))

    def stop(self) -> None:
        """Hear nothing any more."""
        for handle in self._handles:
            handle.remove()


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener for the calling thread's forward passes; those of other threads are not heard."""
    listener = Listener()
    try:
        yield listener
    finally:
        listener.stop()
