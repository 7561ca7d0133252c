"""What a collection in Milvus was made for, written down beside its items: made once, looked at by whoever opens it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from indexes.errors import CollectionError, ForeignModelError
from indexes.milvus.beside import Beside, Note
from indexes.milvus.connection import Connection
from indexes.milvus.schema import (
    MOST_EMBEDDING_SIZE,
    beside_of,
    drop_collections,
    items_of,
    load_collections,
    make_collections,
)

FORMAT = 1
_NOTE = Note("about")


@dataclass(frozen=True)
class About:
    """embedding_size: of its vectors. model_fingerprint: the model that fills it."""

    embedding_size: int
    model_fingerprint: str
    format: int = FORMAT


def make(connection: Connection, about: About) -> None:
    """Make what was not there, or leave nothing. Raises CollectionError if one of its name is there already."""
    if not 0 < about.embedding_size <= MOST_EMBEDDING_SIZE:
        raise CollectionError(
            f"embedding_size must be 1 to {MOST_EMBEDDING_SIZE} in Milvus; got {about.embedding_size}"
        )
    settings = connection.settings
    for name in (items_of(settings.collection), beside_of(settings.collection)):
        if connection.has(name):
            raise CollectionError(
                f"{settings.uri}: a collection {name} is there already; "
                "give another name with --milvus-option collection=NAME"
            )
    try:
        make_collections(connection, embedding_size=about.embedding_size)
        # Last: without it, it is not finished, and nobody will take it for a collection.
        Beside(connection).put([Note(_NOTE.kind, text=json.dumps(asdict(about)))])
    except BaseException:
        drop_collections(connection)
        raise


def find(connection: Connection, model_fingerprint: str | None) -> About:
    """Get what is there ready for searches. Raises CollectionError if there is none, ForeignModelError."""
    name = connection.settings.collection
    where = f"{name} at {connection.settings.uri}"
    if not (connection.has(items_of(name)) and connection.has(beside_of(name))):
        raise CollectionError(f"{where}: no collection is there; make one with `hdhe index build --milvus`")
    load_collections(connection)
    text, _ = Beside(connection).get([_NOTE]).get(_NOTE.key, ("{}", 0))
    values = json.loads(text)
    if values.get("format") != FORMAT:
        raise CollectionError(
            f"{where}: format {values.get('format')} is not the format {FORMAT} of this version; "
            "upgrade hdhe, or drop it in Milvus if it was never finished"
        )
    about = About(**values)
    if model_fingerprint not in (None, about.model_fingerprint):
        raise ForeignModelError(
            f"{where}: filled by model {about.model_fingerprint[:12]}, not {str(model_fingerprint)[:12]}; "
            "use its own model or build a new collection"
        )
    return about
