"""The bodies of requests and answers, with their names on the wire."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from indexes.collection import HIT_FIELDS, CollectionStats, Hit, HitField, Item, Scalar
from service.problems import Problem

View = Literal["item", "query", "panels"]
"""The map over the item's thumbnail; over the query; or both with each head's maps, captions and scales."""

DEFAULT_K = 10
MAX_VECTOR_NUMBERS = 65_536
TEXT_PATTERN = "^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]+$"
"""Of ids and labels in the OpenAPI document: no control characters and no line breaks."""


class SearchQuery(BaseModel):
    """A search by a vector or by the id of an item; exactly one of the two."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"id": "vases/03/7.jpg", "k": 5, "filter": {"label": "vase-03"}}]},
    )

    vector: list[FiniteFloat] | None = Field(default=None, max_length=MAX_VECTOR_NUMBERS)
    id: str | None = Field(
        default=None, description="An item of the collection; it is left out of its own hits."
    )
    k: int = Field(default=DEFAULT_K, ge=1, strict=True)
    filter: dict[str, object] | None = None
    include: list[HitField] = Field(
        default=["label", "attributes"],
        description="What each hit says of its item beside id and score; an empty list is the quickest.",
        examples=[["label"], []],
    )

    @model_validator(mode="after")
    def _one_query(self) -> Self:
        if (self.vector is None) == (self.id is None):
            raise ValueError("give either vector or id")
        return self


class HitBody(BaseModel):
    """One neighbour; score is the cosine. label and attributes are left out where they were not asked for."""

    id: str
    score: float
    label: str | None = None
    attributes: dict[str, Scalar] = {}

    @classmethod
    def of(cls, hit: Hit, include: AbstractSet[HitField] = HIT_FIELDS) -> HitBody:
        """The hit as it goes over the wire, where fields that are not set are left out."""
        body = cls(id=hit.id, score=hit.score)
        if "label" in include:
            body.label = hit.label
        if "attributes" in include:
            body.attributes = dict(hit.attributes)
        return body


class TookMs(BaseModel):
    """Milliseconds by stage. wait: in line for a decoding thread and for the network."""

    decode: float = 0.0
    wait: float = 0.0
    embed: float = 0.0
    search: float = 0.0


class SearchAnswer(BaseModel):
    """The nearest items, best first."""

    hits: list[HitBody]
    took_ms: TookMs


class ExplanationChoices(BaseModel):
    """What is explained of a query, and how it is shown."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="The item that the query is compared with.")
    view: View = Field(
        default="item",
        description="The map over the item's thumbnail, of its size; over the query; or both with each head's maps.",
    )
    typical: bool = Field(
        default=True,
        description="Take off what the images of the collection have in common, so that what is particular shows.",
    )
    head: int | None = Field(
        default=None,
        ge=1,
        description="With item and query: the map of one head alone, counted from 1; else of all together.",
    )

    @model_validator(mode="after")
    def _one_map(self) -> Self:
        if self.head is not None and self.view == "panels":
            raise ValueError("head goes with the views item and query; panels show every head")
        return self


class ExplanationQuery(ExplanationChoices):
    """Two items, of which the one of query_id stands for the query."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"query_id": "vase-03/004.jpg", "id": "vase-03/006.jpg"}]},
    )

    query_id: str


class EmbeddingsAnswer(BaseModel):
    """L2-normalised vectors in the order of the images, and the fingerprint of the model that made them."""

    embeddings: list[list[float]]
    model: str


class ItemBody(BaseModel):
    """An item of the collection; sequence is the number of the write that last changed it."""

    id: str
    label: str | None
    attributes: dict[str, Scalar]
    sequence: int

    @classmethod
    def of(cls, item: Item) -> ItemBody:
        """The item as it goes over the wire."""
        return cls(id=item.id, label=item.label, attributes=dict(item.attributes), sequence=item.sequence)


class ItemsPage(BaseModel):
    """Items in the order of their ids; next_cursor is null on the last page."""

    items: list[ItemBody]
    next_cursor: str | None


class BulkResult(BaseModel):
    """What became of one image: 201 created, 200 there before, or the status of its problem."""

    id: str
    status: int
    item: ItemBody | None = None
    problem: Problem | None = None


class BulkAnswer(BaseModel):
    """One result for each image, in the order of the request. replaced: those with status 200, also if unchanged."""

    results: list[BulkResult]
    created: int
    replaced: int
    failed: int


class RecallAnswer(BaseModel):
    """Recall@K of the labelled items, each queried against all others. null: no query has a positive."""

    recall: dict[str, float | None]
    map_at_r: float | None
    r_precision: float | None
    protocol: str
    queries: int
    queries_without_positive: int
    index_recall: dict[str, float] = Field(
        description="Of the index against exact search, on a sample, by k."
    )
    computed_at: datetime
    age_seconds: float = Field(description="Since it was computed.")
    sequence: int = Field(description="The write up to which items were counted.")
    stale: bool = Field(description="Whether there were writes since; a new one is being computed then.")


class ModelBody(BaseModel):
    """A model.

    pixels: side of its input; mirror: whether it adds the mirrored image's embedding; engine: what runs it, and in
    which precision.
    """

    fingerprint: str
    backbone: str
    heads: int
    embedding_size: int
    pixels: int
    mirror: bool
    pretraining: str
    engine: str


class ModelAnswer(ModelBody):
    """The model that filled the collection. query_model: the one that embeds queries, null where it is the same."""

    query_model: ModelBody | None


class StatsAnswer(BaseModel):
    """The collection at this moment."""

    items: int
    labels: int
    sequence: int
    embedding_size: int
    model: str
    index_kind: str
    index_on_gpu: bool
    index_recall: dict[str, float]
    bytes_on_disk: int

    @classmethod
    def of(cls, stats: CollectionStats) -> StatsAnswer:
        """The statistics as they go over the wire."""
        return cls(
            items=stats.items,
            labels=stats.labels,
            sequence=stats.sequence,
            embedding_size=stats.embedding_size,
            model=stats.model_fingerprint,
            index_kind=stats.index_kind,
            index_on_gpu=stats.index_on_gpu,
            index_recall={str(k): value for k, value in stats.index_recall.items()},
            bytes_on_disk=stats.bytes_on_disk,
        )


class HealthAnswer(BaseModel):
    """One word."""

    status: str
