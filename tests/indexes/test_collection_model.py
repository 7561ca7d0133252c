"""A collection against a dict: any sequence of writes, searches and reopenings gives the same answers."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from indexes.collection import Collection, NewItem
from indexes.filters import LabelIn
from indexes.local_collection import LocalCollection
from tests.indexes.milvus_lite import create_milvus, needs_milvus_lite, open_milvus
from tests.indexes.unit_vectors import FINGERPRINT, unit_vectors

D = 4
# Distinct vectors, so that a ranking is one.
VECTORS = unit_vectors(64, D)
IDS = st.sampled_from([f"id/{i}" for i in range(12)])
LABELS = st.sampled_from([None, "x", "y"])
WRITES = st.lists(st.tuples(IDS, LABELS, st.integers(0, len(VECTORS) - 1)), min_size=1, max_size=6)


class CollectionMachine(RuleBasedStateMachine):
    collection: Collection
    folder: Path
    model: dict[str, tuple[str | None, int]]

    def begin(self) -> Path:
        self.folder = Path(tempfile.mkdtemp())
        self.model = {}
        return self.folder / "c"

    def open(self, folder: Path) -> Collection:
        raise NotImplementedError

    def teardown(self) -> None:
        self.collection.close()
        shutil.rmtree(self.folder)

    @rule(writes=WRITES)
    def upsert(self, writes: list[tuple[str, str | None, int]]) -> None:
        answers = self.collection.upsert([NewItem(id, VECTORS[v], label) for id, label, v in writes])
        for answer, (id, label, v) in zip(answers, writes, strict=True):
            assert answer.created == (id not in self.model)
            self.model[id] = (label, v)

    @rule(ids=st.lists(IDS, min_size=1, max_size=4))
    def delete(self, ids: list[str]) -> None:
        assert self.collection.delete(ids) == [self.model.pop(id, None) is not None for id in ids]

    @rule(
        query=st.integers(0, len(VECTORS) - 1),
        k=st.integers(1, 14),
        label=st.sampled_from(["any", None, "x"]),
    )
    def search(self, query: int, k: int, label: str | None) -> None:
        filter = None if label == "any" else LabelIn((label,))
        (hits,) = self.collection.search(VECTORS[query : query + 1], k, filter)
        passing = {id: v for id, (its, v) in self.model.items() if label in ("any", its)}
        scores = sorted((float(VECTORS[v] @ VECTORS[query]) for v in passing.values()), reverse=True)[:k]
        np.testing.assert_allclose([hit.score for hit in hits], scores, atol=1e-6)
        assert len({hit.id for hit in hits}) == len(hits)
        for hit in hits:
            assert abs(hit.score - float(VECTORS[passing[hit.id]] @ VECTORS[query])) < 1e-6

    @rule()
    def reopen(self) -> None:
        self.collection.close()
        self.collection = self.open(self.folder / "c")

    @rule()
    @precondition(lambda self: self.model)
    def renew(self) -> None:
        self.collection.optimise()

    @invariant()
    @precondition(lambda self: hasattr(self, "model"))
    def holds_what_the_model_holds(self) -> None:
        page = {item.id: item.label for item in self.collection.page()}
        assert page == {id: label for id, (label, _) in self.model.items()}


class LocalMachine(CollectionMachine):
    @initialize(index=st.sampled_from(["auto", "flat", "hnsw", "sq8"]))
    def create(self, index: str) -> None:
        self.collection = LocalCollection.create(
            self.begin(), embedding_size=D, model_fingerprint=FINGERPRINT, index=index
        )

    def open(self, folder: Path) -> Collection:
        return LocalCollection.open(folder)


class MilvusMachine(CollectionMachine):
    @initialize(index=st.sampled_from(["AUTOINDEX", "FLAT", "HNSW"]))
    def create(self, index: str) -> None:
        self.collection = create_milvus(self.begin(), embedding_size=D, index=index)

    def open(self, folder: Path) -> Collection:
        return open_milvus(folder)


TestLocalMachine = LocalMachine.TestCase
TestLocalMachine.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
TestMilvusMachine = needs_milvus_lite(MilvusMachine.TestCase)
TestMilvusMachine.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
