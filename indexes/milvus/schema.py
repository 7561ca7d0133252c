"""The two collections that one of ours is in Milvus: its items, and what is kept beside them.

NAME           an item a row: id, vector, label, attributes, and what they are filtered by
NAME_beside    rows of text under a key: thumbnails in pieces, labels, the clock, names of writes, the model

Milvus has no column for bytes, and its text ends at 65,535 of them, so a thumbnail is several rows of base64. It is
apart from the items because Milvus holds what it has loaded in memory; the second collection is mapped from the disk.
Lengths are in bytes of UTF-8, four for each character at most.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from indexes.collection import MAX_DIGEST_BYTES, MAX_ID_LENGTH, MAX_LABEL_LENGTH, Item, NewItem
from indexes.milvus.connection import Connection, Row
from indexes.milvus.expressions import NO_LABEL
from indexes.milvus.searchable_attributes import facts, ranges

if TYPE_CHECKING:
    from pymilvus import CollectionSchema, MilvusClient

MOST_TEXT_BYTES = 65_535
MOST_EMBEDDING_SIZE = 32_768

LOTS = 1 << 20
"""Each item has drawn one of so many lots by its id: some of the lots are a random sample of the items."""

ITEM_FIELDS = ("id", "label", "attributes", "sequence")

_TOKEN_LENGTH = 16
_MOST_FACTS = 4096  # Milvus's own limit; attributes of 16 KiB have fewer
_MOST_KEY_BYTES = 4096
_MOST_KIND_BYTES = 16


def items_of(name: str) -> str:
    """The collection of the items."""
    return name


def beside_of(name: str) -> str:
    """The collection of what is kept beside them."""
    return f"{name}_beside"


def make_collections(connection: Connection, *, embedding_size: int) -> None:
    """Make both, with their indexes, and load them. Raises CollectionError; what was made by then stays."""
    settings = connection.settings
    name = settings.collection

    def make(client: MilvusClient, timeout: float) -> None:
        partitions = {"num_partitions": settings.partitions} if settings.partitions else {}
        client.create_collection(
            items_of(name),
            schema=_items_schema(embedding_size, by_label=settings.partitions > 0),
            consistency_level=settings.consistency,
            num_shards=settings.shards,
            timeout=timeout,
            **partitions,
        )
        client.create_collection(
            beside_of(name),
            schema=_beside_schema(),
            properties={"mmap.enabled": "true"},
            consistency_level="Strong",
            num_shards=1,
            timeout=timeout,
        )
        choice = settings.choice
        indexes = client.prepare_index_params()
        # Milvus Lite looks for the parameters under one more name than its client writes them down with.
        build = {"params": dict(choice.build)} if settings.lite else dict(choice.build)
        indexes.add_index("vector", index_type=choice.kind, metric_type="IP", params=build)
        if not settings.lite:
            # Milvus Lite reads its rows one by one with an index and without, and has none for arrays.
            for field in ("label", "facts", "sequence", "lot"):
                indexes.add_index(field, index_type="INVERTED")
        # There is nothing yet to wait for.
        client.create_index(items_of(name), indexes, timeout=timeout, sync=False)
        nothing = client.prepare_index_params()
        nothing.add_index("nothing", index_type="FLAT", metric_type="IP", params={})
        client.create_index(beside_of(name), nothing, timeout=timeout, sync=False)

    connection.manage("making the collection", make)
    load_collections(connection)


def load_collections(connection: Connection) -> None:
    """Have Milvus get both ready for searches; does nothing where they are."""
    settings = connection.settings

    def load(client: MilvusClient, timeout: float) -> None:
        client.load_collection(items_of(settings.collection), replica_number=settings.replicas)
        client.load_collection(beside_of(settings.collection), timeout=timeout)

    connection.manage("loading", load)


def drop_collections(connection: Connection) -> None:
    """Drop both, as far as they are there."""

    def drop(client: MilvusClient, timeout: float) -> None:
        for collection in (
            items_of(connection.settings.collection),
            beside_of(connection.settings.collection),
        ):
            client.drop_collection(collection, timeout=timeout)

    connection.manage("dropping", drop)


def item_row(item: NewItem, sequence: int, *, pieces: int) -> Row:
    """What is stored of an item that has been checked. pieces: rows of its thumbnail beside it."""
    return {
        "id": item.id,
        "vector": item.vector,
        "label": NO_LABEL if item.label is None else item.label,
        "attributes": json.dumps(dict(item.attributes), ensure_ascii=False),
        "sequence": sequence,
        "source": "" if item.source is None else item.source.content.hex(),
        "pieces": pieces,
        "lot": int.from_bytes(hashlib.blake2b(item.id.encode(), digest_size=4).digest()) % LOTS,
        "facts": facts(item.attributes),
        "ranges": ranges(item.attributes),
    }


def item_of(row: Row) -> Item:
    """The item of a row with ITEM_FIELDS."""
    return Item(row["id"], label_of(row), json.loads(row["attributes"]), int(row["sequence"]))


def label_of(row: Row) -> str | None:
    """None where it has none."""
    label: str = row["label"]
    return None if label == NO_LABEL else label


def row_bytes(row: Row) -> int:
    """About how long a row is in a request."""
    tokens = len(row["facts"]) * (_TOKEN_LENGTH + 2)
    texts = len(row["id"]) + len(row["label"]) + 2 * len(row["attributes"]) + 40 * len(row["ranges"])
    return 4 * len(row["vector"]) + tokens + 4 * texts + 200


def _items_schema(embedding_size: int, *, by_label: bool) -> CollectionSchema:
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description="items of hdhe, made by `hdhe index build`"
    )
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=4 * MAX_ID_LENGTH)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=embedding_size)
    schema.add_field("label", DataType.VARCHAR, max_length=4 * MAX_LABEL_LENGTH, is_partition_key=by_label)
    schema.add_field("attributes", DataType.VARCHAR, max_length=MOST_TEXT_BYTES)
    schema.add_field("sequence", DataType.INT64)
    schema.add_field("source", DataType.VARCHAR, max_length=2 * MAX_DIGEST_BYTES)
    schema.add_field("pieces", DataType.INT64)
    schema.add_field("lot", DataType.INT64)
    schema.add_field(
        "facts",
        DataType.ARRAY,
        element_type=DataType.VARCHAR,
        max_capacity=_MOST_FACTS,
        max_length=_TOKEN_LENGTH,
    )
    schema.add_field("ranges", DataType.JSON)
    return schema


def _beside_schema() -> CollectionSchema:
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description="kept beside items of hdhe"
    )
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=_MOST_KEY_BYTES)
    schema.add_field("kind", DataType.VARCHAR, max_length=_MOST_KIND_BYTES)
    schema.add_field("number", DataType.INT64)
    schema.add_field("text", DataType.VARCHAR, max_length=MOST_TEXT_BYTES)
    # Milvus wants a vector in every collection.
    schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)
    return schema
