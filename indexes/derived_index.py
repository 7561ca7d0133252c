"""The index of a collection together with its file: loaded, built, measured, saved.

At the start the file is loaded and follows the rows; what is missing, damaged or foreign is built anew. Building,
measuring and saving go on beside searches and, but for their last step, beside writes.
"""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, Lock

from indexes.following_index import FollowingIndex, Keys, State
from indexes.index_building import MEASURED_K, Built, StoppedError, build, measure
from indexes.index_choice import IndexChoice
from indexes.index_file import IndexFileError, IndexHeader, read_index_file, write_index_file
from indexes.index_kinds import AUTO, IndexKind
from indexes.index_trial import try_kinds
from indexes.item_rows import ItemRows
from indexes.search_width import SearchWidth

_ABOUT, _FEW_DEAD = 0.25, 0.05

logger = logging.getLogger(__name__)


class DerivedIndex(FollowingIndex):
    """See FollowingIndex; this one has a file, and another index in its place where that suits the rows better."""

    def __init__(self, rows: ItemRows, path: Path) -> None:
        """Load the index from its file, or build it from the rows with a logged warning; `unusable` says which."""
        super().__init__(rows)
        self.unusable: str | None = None
        """Why the file could not be used; None if it could, or if there is a new one by now."""
        self.choice = IndexChoice(rows)
        self._building = Lock()
        self._path = path
        self._stop = Event()
        self._saved_sequence = -1
        try:
            header, index = read_index_file(path, rows.settings.collection)
            with rows.database.reading() as connection:
                clock = rows.sequence(connection)
            if header.sequence > clock:
                raise IndexFileError("it is ahead of the database, which must be an older copy")
            width = SearchWidth(header.effort, header.depth)
            self.state = State(
                index, width, header.built, header.measured, header.recall, index.mapping is None
            )
            self._sequence = self._saved_sequence = header.sequence
            self.catch_up()
        except IndexFileError as error:
            with rows.database.reading() as connection:
                items, clock = rows.count(connection), rows.sequence(connection)
            if clock > 0:
                logger.warning("%s: building the index of %d items anew: %s", path, items, error)
            self.unusable = str(error)
            self.renew()

    @property
    def saved(self) -> bool:
        """Whether the file has all that the index has."""
        return self._saved_sequence == self._sequence

    @property
    def unsaved_writes(self) -> int:
        """How many writes the file lacks."""
        return self._sequence - self._saved_sequence

    def renew(self, *, trial: bool = False) -> None:
        """Build the index that suits the rows now, measure it and put it in the place of the old one.

        trial: find out first which that is, where measuring pays and has not been done (`index_trial`); that happens
        in any case where the kind that goes by size finds too little. One that reaches less among all rows than the
        trial has promised makes way for the next. Raises CollectionError if nothing fits the memory.
        """
        rows = self._rows
        # One at a time: of two, the one of an older choice of the kind might end last.
        with self._building:
            with rows.database.reading() as connection:
                keys = rows.keys(connection)
                trial = trial and self.choice.wants_trial(len(keys))
                built = self._best_of_trial(connection, keys) if trial else None
                while built is None:
                    kind = self.wanted(len(keys))
                    built = build(
                        rows,
                        connection,
                        keys,
                        kind,
                        refined=self.choice.refined(kind, len(keys)),
                        wanted=rows.settings.recall,
                        stop=self._stop,
                    )
                    if not trial and self._is_worth_a_trial(built, len(keys)):
                        trial = True
                        if (best := self._best_of_trial(connection, keys)) is not None:
                            built = best
                            break
                    if self._makes_way(built, len(keys)):
                        built = None
            state = State(built.index, built.width, len(keys), len(keys), built.recall)
            self._take(state)

    def _best_of_trial(self, connection: sqlite3.Connection, keys: Keys) -> Built | None:
        rows = self._rows
        trial, built = try_kinds(
            rows,
            connection,
            keys,
            wanted=rows.settings.recall,
            memory=self.choice.memory,
            go_on=self.go_on,
        )
        with self.changing:
            rows.change_settings(replace(rows.settings, trial=asdict(trial)))
        return built

    def _is_worth_a_trial(self, built: Built, items: int) -> bool:
        """Whether an index of all items finds too little, and measuring others might help."""
        recall, wanted = built.recall.get(MEASURED_K, 1.0), self._rows.settings.recall
        return recall < wanted and self.choice.wants_trial(items) and not self._rows.database.read_only

    def _makes_way(self, built: Built, items: int) -> bool:
        """Whether another kind is wanted than that of this index of all items. What is too little is noted in the trial
        that has chosen it.
        """
        rows, kind, trial = self._rows, built.index.kind, self.choice.trial
        recall = built.recall.get(MEASURED_K)
        if recall is None or trial is None or rows.settings.index != AUTO or rows.database.read_only:
            return False
        if trial.chosen == kind.name and recall < rows.settings.recall:
            with self.changing:
                rows.change_settings(replace(rows.settings, trial=asdict(trial.after_failure(recall))))
        wanted = self.wanted(items)
        if wanted == kind:
            return False
        logger.warning(
            "%s: %s reaches a recall of %.4f only among all %d items: building %s instead",
            self._path,
            kind.name,
            recall,
            items,
            wanted.name,
        )
        return True

    def _take(self, state: State) -> None:
        with self.changing:
            with self._rows.database.reading() as connection:
                self._follow(state.index, connection)
                # Before the number, by which a search judges the index that it finds here.
                self.state = state
                self._sequence = self._rows.sequence(connection)
                self._in_step = True
            self._saved_sequence = -1

    def load(self) -> None:
        """Read what is mapped from the file into memory, where it takes what has come since."""
        with self._building:
            state = self.state
            self._take(replace(state, index=state.index.loaded()))

    def read_through(self, *, again: bool = False) -> None:
        """Compare a file that is mapped with its checksum, beside searches; if it is damaged, build the index anew.

        again: also if that was done before.
        """
        state = self.state
        mapping = state.index.mapping
        if mapping is None or (state.sound and not again):
            return
        if mapping.is_whole(self.go_on):
            with self.changing:
                if self.state.index is state.index:
                    self.state = replace(self.state, sound=True)
            return
        self.unusable = "its checksum does not match"
        logger.warning("%s: building the index of %d items anew: %s", self._path, len(self), self.unusable)
        self.renew()

    def measure(self, *, follow: bool = False) -> dict[int, float]:
        """Measure recall against exact search now, on a sample; widens the search if it is too low.

        Writes that come in meanwhile may show as neighbours missed; hold `changing` where that matters. follow: as of
        `refresh`.
        """
        state, rows = self.state, self._rows
        with rows.database.reading() as connection:
            self.refresh(connection, follow=follow)
            keys, wanted = rows.keys(connection), rows.settings.recall
            width, recall = measure(
                rows, connection, keys, state.index, state.width, wanted=wanted, stop=self._stop
            )
        with self.changing:
            if self.state.index is state.index:
                self.state = replace(self.state, width=width, measured=len(keys), recall=recall)
                self._saved_sequence = -1
        return recall

    def forget_removed(self) -> None:
        """Free what removed vectors still take, beside searches; a graph is built anew for that."""
        if not self.state.index.forget_removed():
            self.renew()

    def save(self) -> None:
        """Write the file. If the disk refuses, that is logged: nothing is lost, the next start takes longer."""
        with self.changing:
            if self.saved:
                return
            try:
                self.write(self._path, self._rows.settings.collection)
                self._saved_sequence = self._sequence
                self.unusable = None
            except (OSError, RuntimeError) as error:
                logger.warning(
                    "%s: the index is not saved (%s); the next start will rebuild it", self._path, error
                )

    def write(self, path: Path, collection: str) -> None:
        """Write an index file for a collection of this name. Raises OSError."""
        with self.changing:
            settings, state = self._rows.settings, self.state
            header = IndexHeader(
                collection=collection,
                model_fingerprint=settings.model_fingerprint,
                embedding_size=settings.embedding_size,
                kind=state.index.kind.name,
                effort=state.width.visited,
                depth=state.width.depth,
                sequence=self._sequence,
                items=len(self),
                built=state.built,
                measured=state.measured,
                recall=state.recall,
            )
            write_index_file(path, header, state.index)

    def finish(self) -> None:
        """Before closing: measure what was never measured at this size, save what is not saved."""
        self._stop.clear()
        if len(self) >= 2 * max(self.state.measured, 1):
            self.measure()
        self.save()

    def go_on(self) -> None:
        """Raises StoppedError once `stop` was called: for work in other threads that takes long."""
        if self._stop.is_set():
            raise StoppedError

    def stop(self) -> None:
        """Make renew and measure that are under way in other threads give up, with StoppedError."""
        self._stop.set()

    @property
    def suits(self) -> bool:
        """Whether another one for the rows there are now would be much the same."""
        state, n = self.state, len(self)
        index = state.index
        if index.kind != self.wanted(n) or index.refined != self.choice.refined(index.kind, n):
            return False
        # A graph that has grown is as good as one that is made at once.
        about = index.kind.structure == "graph" or abs(n - state.built) <= _ABOUT * state.built
        return about and index.newcomers == 0 and index.dead <= _FEW_DEAD * n

    def wanted(self, items: int) -> IndexKind:
        """The kind for so many items."""
        return self.choice.kind(items)
