"""One SQLite file: a writing connection, a pool of reading ones, and errors that a user can act on.

WAL mode lets readers go on while a transaction is written; `synchronous=FULL` makes COMMIT return only after
the log is on the disk. A crash at any moment leaves every committed transaction, and none of a half-written
one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from indexes.errors import CollectionError, StorageError

_PAGE_BYTES = 16_384
"""Seven vectors of 512 floats fit on a page of this size; on SQLite's usual 4096 bytes one would fill half of it."""

_IDLE_READERS = 16
_BUSY_MILLISECONDS = 30_000

_CHECKPOINT_MILLISECONDS = 1_000
"""How long to wait, after a compaction, for readers in other processes before the log is left for later."""

_EXPLANATIONS = {
    "SQLITE_FULL": "the disk is full; free some space and repeat the write (what was acknowledged is safe)",
    "SQLITE_READONLY": "it cannot be written; make the folder writable or open it read-only",
    "SQLITE_CANTOPEN": "it cannot be opened; check the path and its permissions",
    "SQLITE_PERM": "access is denied; check the permissions",
    "SQLITE_IOERR": "the disk refused a read or write; check its space and health (what was acknowledged is safe)",
    "SQLITE_CORRUPT": "it is damaged; restore a snapshot",
    "SQLITE_NOTADB": "it is damaged or not a collection's database; restore a snapshot",
    "SQLITE_BUSY": "another process holds it; close that process and try again",
}
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


@contextmanager
def storage_errors(path: Path, source: Path | None = None) -> Iterator[None]:
    """Turn what SQLite says about the disk into a StorageError; what it says about our SQL stays a bug.

    source: what is read where that is another file than `path`, which is written; of the two it is the one that may be
    damaged.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        # An extended name such as SQLITE_IOERR_WRITE starts with the name of its family.
        name = getattr(error, "sqlite_errorname", "")
        for family, explanation in _EXPLANATIONS.items():
            if name == family or name.startswith(family + "_"):
                at = source if source is not None and family in _DAMAGE else path
                raise StorageError(f"{at}: {explanation} [{name}]") from error
        raise


class Database:
    """A SQLite file opened for one writer and many readers, or for readers only. Safe for use from many threads."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._closed = False
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = Lock()
        self._immutable = False
        self._writer: sqlite3.Connection | None = None
        with storage_errors(path):
            if read_only:
                self._immutable = self._cannot_share_memory()
            else:
                self._writer = self._connect("rwc")
                self._writer.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                self._writer.execute("PRAGMA journal_mode = WAL")
                self._writer.execute("PRAGMA synchronous = FULL")
                self._writer.execute("PRAGMA foreign_keys = ON")
                self._writer.execute(f"PRAGMA journal_size_limit = {64 << 20}")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a read transaction: everything read through it is of one moment."""
        with storage_errors(self.path):
            connection = self._reader()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                self._give_back(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The writing connection inside a transaction: on disk when the block ends, undone if it raises.

        One thread at a time; the caller sees to that.
        """
        if self._writer is None:
            raise CollectionError(f"{self.path.parent}: it is closed or open read-only; nothing was written")
        with storage_errors(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def copy(self, target: Path) -> None:
        """Write a consistent, compact copy to a new file, while reads and writes go on."""
        connection = self._reader()
        try:
            with storage_errors(target, self.path):
                connection.execute("PRAGMA query_only = OFF")
                connection.execute("VACUUM INTO ?", [str(target)])
        finally:
            connection.close()

    def compact(self) -> None:
        """Give what deleted rows have left back to the disk. Reads go on, writes have to wait; the caller sees to that.

        The disk needs room for the rows twice over meanwhile. The log that it fills is emptied afterwards, unless a
        reader in another process still needs it.
        """
        if self._writer is None:
            raise CollectionError(
                f"{self.path.parent}: it is closed or open read-only; nothing was compacted"
            )
        with storage_errors(self.path):
            self._writer.execute("VACUUM")
            self._writer.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_MILLISECONDS}")
            try:
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._writer.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")

    def live_bytes(self) -> int:
        """Bytes of the file without its free pages."""
        with self.reading() as connection:
            pages, free, size = (
                int(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def close(self) -> None:
        """Close every connection that is not in use; those in use close when they are given back."""
        with self._readers_lock:
            self._closed = True
            idle, self._readers = self._readers, []
        for connection in idle:
            connection.close()
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with storage_errors(self.path):
                writer.close()

    def _connect(self, mode: str) -> sqlite3.Connection:
        suffix = "&immutable=1" if self._immutable else ""
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}{suffix}",
            uri=True,
            isolation_level=None,  # transactions are begun and ended by name, above
            check_same_thread=False,  # a connection is used by one thread at a time, by any of them
            timeout=_BUSY_MILLISECONDS / 1000,
        )

    def _reader(self) -> sqlite3.Connection:
        with self._readers_lock:
            if self._closed:
                raise CollectionError(f"{self.path.parent}: the collection is closed; open it again")
            if self._readers:
                return self._readers.pop()
        connection = self._connect("ro")
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = {-(16 << 10)}")
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.DatabaseError:
            # Whatever was wrong has been raised by the read itself; this connection is of no further use.
            connection.close()
            return
        with self._readers_lock:
            if not self._closed and len(self._readers) < _IDLE_READERS:
                self._readers.append(connection)
                return
        connection.close()

    def _cannot_share_memory(self) -> bool:
        """Whether the folder allows no shared-memory file and there is no log to read beside the database.

        Then nobody can be writing, and SQLite may read the file as one that never changes.
        """
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists() and log.stat().st_size > 0:
            return False
        try:
            connection = self._connect("ro")
            try:
                connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            name = error.sqlite_errorname
            return name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")) and self.path.exists()
        return False
