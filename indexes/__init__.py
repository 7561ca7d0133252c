"""Vectors in, neighbours out: durable collections of embeddings and the indexes that search them."""

from indexes.collection import (
    Attributes,
    Collection,
    CollectionStats,
    Hit,
    Item,
    NewItem,
    Scalar,
    Source,
    Upserted,
    Write,
)
from indexes.collection_check import CheckReport
from indexes.errors import (
    CollectionError,
    CollectionLockedError,
    FilterError,
    ForeignModelError,
    InvalidItemError,
    StorageError,
    UnknownItemError,
    UserError,
)
from indexes.faiss_index import FaissIndex
from indexes.filter_parsing import parse_filter
from indexes.filters import Filter
from indexes.item_checks import check_id
from indexes.local_collection import LocalCollection

__all__ = [
    "Attributes",
    "CheckReport",
    "Collection",
    "CollectionError",
    "CollectionLockedError",
    "CollectionStats",
    "FaissIndex",
    "Filter",
    "FilterError",
    "ForeignModelError",
    "Hit",
    "InvalidItemError",
    "Item",
    "LocalCollection",
    "NewItem",
    "Scalar",
    "Source",
    "StorageError",
    "UnknownItemError",
    "Upserted",
    "UserError",
    "Write",
    "check_id",
    "parse_filter",
]
