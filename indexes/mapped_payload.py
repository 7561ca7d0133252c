"""The payload of an index file that is mapped into memory instead of read: FAISS's arrays are views of it.

Opening it takes a moment whatever its size, the system reads what searches touch, and several processes share it. In
return its checksum has not been compared when it is first searched; `is_whole` does that, beside searches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 32
_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class MappedPayload:
    """data: uint8[n], of the file as it was when it was opened, whatever is renamed over it. digest: its BLAKE2b."""

    data: NDArray[np.uint8]
    digest: bytes

    @classmethod
    def of(cls, path: Path, start: int, length: int, digest: bytes) -> MappedPayload:
        """Map so many bytes of a file from `start` on. Raises OSError."""
        return cls(np.memmap(path, np.uint8, "r", start, (length,)), digest)

    def is_whole(self, go_on: Callable[[], None]) -> bool:
        """Whether every byte is as it was written. go_on: called now and then; what it raises gives up."""
        found = hashlib.blake2b(digest_size=DIGEST_BYTES)
        for start in range(0, len(self.data), _CHUNK):
            go_on()
            found.update(self.data[start : start + _CHUNK].data)
        return found.digest() == self.digest

    def view(self, count: int) -> list[faiss.Index]:
        """The FAISS indexes in it, one behind the other, as views.

        FAISS ends the process where one is added to or something removed from it.
        """
        reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(self.data), len(self.data))
        return [faiss.read_index(reader) for _ in range(count)]

    def copy(self) -> faiss.Index:
        """The first FAISS index in it, in memory of its own."""
        position = 0

        def read(size: int) -> bytes:
            nonlocal position
            chunk = self.data[position : position + size].tobytes()
            position += len(chunk)
            return chunk

        return faiss.read_index(faiss.PyCallbackIOReader(read, _CHUNK))
