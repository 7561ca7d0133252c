"""Which kind of index a collection is to have: the one that was named, the one a trial has found, or one by size."""

from __future__ import annotations

from indexes.gpu_placement import gpu_memory, has_cagra
from indexes.index_kinds import (
    AUTO,
    FLAT_FLOATS,
    KINDS,
    IndexKind,
    choose_kind,
    keeps_vectors,
    machine_memory,
)
from indexes.index_trial import Trial
from indexes.item_rows import ItemRows


class IndexChoice:
    """Asks the rows' settings each time, for they may change; and machine and GPU once, for the index takes some."""

    def __init__(self, rows: ItemRows) -> None:
        self._rows = rows
        self._memory = machine_memory() // 2
        free = gpu_memory()
        self._gpu_memory = None if free is None else free // 2

    @property
    def memory(self) -> int:
        """Bytes that the index may take: as many as the user allows, or else half of the machine's."""
        allowed = self._rows.settings.memory
        return self._memory if allowed is None else allowed

    @property
    def trial(self) -> Trial | None:
        """The last one."""
        content = self._rows.settings.trial
        return None if content is None else Trial.from_json(content)

    def kind(self, items: int) -> IndexKind:
        """For so many items."""
        settings = self._rows.settings
        size = settings.embedding_size
        by_size = choose_kind(settings.index, items, size, memory=self.memory, gpu_memory=self._gpu_memory)
        if by_size.name == "cagra" and not has_cagra():
            return KINDS["hnsw"]
        trial = self.trial
        if trial is None or not self._measures(items, by_size) or items < KINDS[trial.chosen].fewest:
            return by_size
        return KINDS[trial.chosen]

    def refined(self, kind: IndexKind, items: int) -> bool:
        """Whether an index of this kind has room for the vectors beside their codes."""
        return keeps_vectors(kind, items, self._rows.settings.embedding_size, memory=self.memory)

    def wants_trial(self, items: int) -> bool:
        """Whether measuring pays for so many items, and has not been done."""
        settings, trial = self._rows.settings, self.trial
        by_size = choose_kind(
            settings.index, items, settings.embedding_size, memory=self.memory, gpu_memory=self._gpu_memory
        )
        done = trial is not None and trial.suits(items, settings.recall, self.memory)
        return self._measures(items, by_size) and not done

    def _measures(self, items: int, by_size: IndexKind) -> bool:
        settings = self._rows.settings
        large = items * settings.embedding_size > FLAT_FLOATS
        # What fits a GPU is scanned there faster than a trial could make it.
        on_gpu = by_size.structure == "scan" and by_size.on_gpu and self._gpu_memory is not None
        return settings.index == AUTO and large and not on_gpu
