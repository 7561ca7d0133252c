"""Uploads that were made before: found by their image, or by the name that the client gave them.

The name stands in the header `Idempotency-Key`. It promises that the write is made once, however often it is sent and
whatever happens in between, and is kept by the collection (see `indexes.repeated_writes`).
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import numpy as np
from fastapi import Header
from numpy.typing import NDArray

from indexes.collection import MAX_KEY_LENGTH, Attributes, NewItem, Source, Upserted, Write
from service.backend import Backend

DIGEST_BYTES = 32

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="A name for this write, such as a UUID. Sent again within 24 hours it is not made twice, and is "
        "answered as the first time.",
        min_length=1,
        max_length=MAX_KEY_LENGTH,
        pattern="^[!-~]+$",
    ),
]


async def known_write(
    backend: Backend,
    content: bytes,
    id: str,
    label: str | None,
    attributes: Attributes,
    key: str | None,
    position: int = 0,
) -> tuple[Write, Upserted | None]:
    """The write of an image file under an id, and its answer if it need not be made.

    position: which of the writes of this key. Raises InvalidItemError, also if the key names another write.
    """

    def look() -> tuple[Write, Upserted | None]:
        digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
        write = Write(id, label, attributes, Source(digest, key, position))
        return write, backend.collection.repeated(write)

    # A name may have to be remembered, which is a write.
    return await (backend.read(look) if key is None else backend.write(look))


def new_item(write: Write, vector: NDArray[np.float32], thumbnail: bytes | None) -> NewItem:
    """The item that this write makes. vector: float32[d]."""
    return NewItem(write.id, vector, write.label, write.attributes, thumbnail, write.source)
