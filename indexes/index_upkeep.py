"""What an index needs from time to time, done in the background beside searches and writes: to be built anew, measured
or saved.
"""

from __future__ import annotations

import atexit
import logging
from threading import Lock, Thread
from weakref import WeakSet

from indexes.derived_index import DerivedIndex
from indexes.index_building import StoppedError
from indexes.index_training import training_size

logger = logging.getLogger(__name__)

_FEWEST_DEAD, _DEAD_SHARE = 1000, 0.2
_FEWEST_NEWCOMERS, _NEWCOMERS_SHARE = 5000, 0.05
_FEWEST_MEASURED = 256
_FEWEST_UNSAVED = 10_000


_all: WeakSet[IndexUpkeep] = WeakSet()


@atexit.register
def _give_up_all() -> None:
    """Python ends a thread that is still there in the middle of FAISS's code, which aborts the process."""
    for each in list(_all):
        each.give_up()


class IndexUpkeep:
    """At most one thread, which ends when nothing is due any more, or gives up when the process ends."""

    def __init__(self, index: DerivedIndex, name: str, *, read_only: bool) -> None:
        """name: of the collection, for the log. read_only: leave it as it is, and the file, but read that through."""
        self._index = index
        self._read_only = read_only
        self._name = name
        self._thread: Thread | None = None
        self._lock = Lock()
        self._ended = False
        _all.add(self)

    @property
    def running(self) -> bool:
        """Whether something is under way."""
        return self._thread is not None and self._thread.is_alive()

    def look(self) -> None:
        """Start what is due by now, unless something is under way."""
        if self._due() is None:
            return
        with self._lock:
            if self._ended or self.running:
                return
            self._thread = Thread(target=self._keep_up, name="collection-upkeep", daemon=True)
            self._thread.start()

    def end(self) -> bool:
        """As `give_up`, and start nothing more; False if that was said before."""
        with self._lock:
            if self._ended:
                return False
            self._ended = True
        self.give_up()
        return True

    def give_up(self) -> None:
        """Give up what is under way."""
        self._index.stop()
        if self._thread is not None:
            self._thread.join()

    def _keep_up(self) -> None:
        try:
            self._do_what_is_due()
        except StoppedError:
            pass
        except Exception:
            # The index in use goes on serving; the next write tries again.
            logger.exception("%s: the index could not be renewed", self._name)

    def _do_what_is_due(self) -> None:
        index = self._index
        while task := self._due():
            index.go_on()
            match task:
                case "renew":
                    index.renew()
                case "load":
                    index.load()
                case "read":
                    index.read_through()
                case "measure":
                    index.measure()
            if self._read_only:
                continue
            index.save()
            if not index.saved:
                return  # the disk refused or a write came in between; the next write asks again

    def _due(self) -> str | None:
        task = due(self._index)
        return None if self._read_only and task != "read" else task


def due(index: DerivedIndex) -> str | None:
    """What an index needs by now: renew, load, read (through), measure or save; None if nothing."""
    state, n = index.state, len(index)
    if not state.sound:
        return "read"
    outgrown = n >= 2 * state.built or 2 * n <= state.built
    kind = state.index.kind
    trained_on_less = training_size(kind, n) > training_size(kind, state.built)
    many_dead = not state.index.removes and state.index.dead > max(_FEWEST_DEAD, _DEAD_SHARE * n)
    outnumbered = state.index.newcomers > max(_FEWEST_NEWCOMERS, _NEWCOMERS_SHARE * n)
    if many_dead or (outgrown and (trained_on_less or index.wanted(n) != kind)):
        return "renew"
    if outnumbered:
        return "renew" if state.index.mapping is None else "load"
    if n >= max(_FEWEST_MEASURED, 2 * state.measured):
        return "measure"
    if index.unsaved_writes > max(_FEWEST_UNSAVED, n // 4):
        return "save"
    return None
