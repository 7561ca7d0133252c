"""Requests to Milvus: the few that a collection makes, with every failure as a CollectionError of one line.

One connection for each open collection. It may be used from many threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from indexes.errors import CollectionError, StorageError, UnreachableError
from indexes.milvus import lite
from indexes.milvus.settings import MilvusSettings, token

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pymilvus import MilvusClient

T = TypeVar("T")
Row = dict[str, Any]

_NO_COLLECTION = (4, 100)
_REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")
_SILENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
_CONNECT_FAILED = 2


class Connection:
    """Opened by making it; `close` has to follow."""

    def __init__(self, settings: MilvusSettings) -> None:
        """Raises CollectionError, UnreachableError."""
        self.settings = settings
        self._lite: lite.LiteServer | None = None
        self._client: MilvusClient | None = None
        self._ids: dict[str, int] = {}
        make = _client_class()
        uri = settings.uri
        if settings.lite:
            self._lite = lite.start(Path(uri))
            uri = f"http://127.0.0.1:{self._lite.port}"
        try:
            with _errors(settings, "connecting"):
                self._client = make(
                    uri,
                    token=token(),
                    db_name=settings.database,
                    timeout=settings.timeout,
                    dedicated=True,
                )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closing twice is harmless; any other call after it raises CollectionError."""
        client, self._client = self._client, None
        if client is not None:
            with _errors(self.settings, "closing"):
                client.close()
        server, self._lite = self._lite, None
        if server is not None:
            lite.stop(Path(self.settings.uri))

    # Reading

    def query(
        self, collection: str, filter: str, fields: Sequence[str], *, strong: bool = False
    ) -> list[Row]:
        """The rows that pass, at most 16,384. strong: with every write before it, whatever the settings say."""
        level = "Strong" if strong else self.settings.consistency
        rows: list[Row] = self._read(
            "reading",
            lambda client, timeout: client.query(
                collection,
                filter,
                output_fields=list(fields),
                strict_float32=True,
                consistency_level=level,
                timeout=timeout,
            ),
        )
        return rows

    def page(
        self, collection: str, filter: str, fields: Sequence[str], limit: int, moment: int
    ) -> tuple[list[Row], int]:
        """About `limit` rows that pass, the first by primary key, and the moment they are of, which is given to the
        next request (at first 0). None only where none pass; the caller's filter tells what it has seen already.
        """
        options: dict[str, Any] = {"guarantee_timestamp": moment} if moment else {}
        # As pymilvus's iterator does: should another collection have taken this one's name, Milvus says so.
        options["collection_id"] = self._collection_id(collection)
        rows = self._read(
            "reading",
            lambda client, timeout: client.query(
                collection,
                filter,
                output_fields=list(fields),
                limit=limit,
                iterator="True",
                reduce_stop_for_best="True",
                strict_float32=True,
                timeout=timeout,
                **options,
            ),
        )
        return list(rows), moment or int((rows.extra or {}).get("iterator_session_ts") or 0)

    def _collection_id(self, collection: str) -> int:
        if collection not in self._ids:
            described = self._read(
                "looking", lambda client, timeout: client.describe_collection(collection, timeout=timeout)
            )
            self._ids[collection] = int(described["collection_id"])
        return self._ids[collection]

    def count(self, collection: str, filter: str, *, strong: bool = False) -> int:
        """How many rows pass."""
        (row,) = self.query(collection, filter, ["count(*)"], strong=strong)
        return int(row["count(*)"])

    def search(
        self, collection: str, queries: NDArray[Any], k: int, filter: str, fields: Sequence[str]
    ) -> list[list[Row]]:
        """The k rows that pass with the greatest inner product to each query, as the index finds them."""
        parameters = {"metric_type": "IP", "params": self.settings.choice.search_parameters(k)}
        hits: list[list[Row]] = self._read(
            "searching",
            lambda client, timeout: client.search(
                collection,
                data=list(queries),
                anns_field="vector",
                filter=filter,
                limit=k,
                output_fields=list(fields),
                search_params=parameters,
                consistency_level=self.settings.consistency,
                timeout=timeout,
            ),
        )
        return hits

    # Writing

    def upsert(self, collection: str, rows: Sequence[Row]) -> None:
        """Insert or replace by primary key, in one request."""
        self._write("writing", lambda client, timeout: client.upsert(collection, list(rows), timeout=timeout))

    def delete(self, collection: str, filter: str) -> None:
        """The rows that pass."""
        self._write(
            "deleting", lambda client, timeout: client.delete(collection, filter=filter, timeout=timeout)
        )

    def flush(self, collection: str) -> None:
        """Seal what was written, so that Milvus builds the index over it."""
        self._write("flushing", lambda client, timeout: client.flush(collection, timeout=timeout))

    # Collections

    def has(self, collection: str) -> bool:
        """Whether there is one of this name."""
        return bool(
            self._read("looking", lambda client, timeout: client.has_collection(collection, timeout=timeout))
        )

    def manage(self, doing: str, call: Callable[[MilvusClient, float], T]) -> T:
        """Any other request. call: with the client and the seconds it may take."""
        return self._write(doing, call)

    def _read(self, doing: str, call: Callable[[MilvusClient, float], T]) -> T:
        return self._call(doing, call, self._lite.lock.reading() if self._lite else nullcontext())

    def _write(self, doing: str, call: Callable[[MilvusClient, float], T]) -> T:
        return self._call(doing, call, self._lite.lock.writing() if self._lite else nullcontext())

    def _call(
        self, doing: str, call: Callable[[MilvusClient, float], T], turn: AbstractContextManager[None]
    ) -> T:
        client = self._client
        if client is None:
            raise CollectionError(f"{self.settings.collection}: the collection is closed; open it again")
        with turn, _errors(self.settings, doing):
            return call(client, self.settings.timeout)


def _client_class() -> Callable[..., MilvusClient]:
    try:
        from pymilvus import MilvusClient
    except ImportError:
        raise CollectionError(
            "this collection lives in Milvus, which needs its client: run `pip install 'hdhe[milvus]'`"
        ) from None
    for name in ("pymilvus", "milvus_lite", "grpc._server"):
        # They print each error with its stack before it is raised; raised as one line, it is told once. (And Milvus
        # Lite logs, at each start, that it does not know a request of this client, which does without.)
        logging.getLogger(name).setLevel(logging.CRITICAL)
    made: Callable[..., MilvusClient] = MilvusClient
    return made


@contextmanager
def _errors(settings: MilvusSettings, doing: str) -> Iterator[None]:
    import grpc
    from pymilvus.exceptions import MilvusException

    where = f"{settings.collection} at {settings.uri}"
    try:
        yield
    except grpc.RpcError as error:
        raise _told(settings, where, doing, _status(error), str(error)) from error
    except MilvusException as error:
        if error.code in _NO_COLLECTION:
            raise CollectionError(
                f"{where}: Milvus has no such collection; make it with `hdhe index build --milvus`"
            ) from error
        raise _told(settings, where, doing, _status(error), str(error.message)) from error


def _status(error: BaseException) -> str:
    """The status of the request that it comes from, as gRPC names it; empty if Milvus itself has refused."""
    import grpc

    cause: BaseException | None = error
    for _ in range(8):  # pymilvus raises errors from themselves
        if isinstance(cause, grpc.RpcError):
            return str(cause.code().name) if isinstance(cause, grpc.Call) else "UNAVAILABLE"
        cause = None if cause is None else cause.__cause__
    code = getattr(error, "code", "")
    return "UNAVAILABLE" if code == _CONNECT_FAILED else str(getattr(code, "name", ""))


def _told(settings: MilvusSettings, where: str, doing: str, status: str, message: str) -> CollectionError:
    line = " ".join(message.split())[:300]
    if status in _REFUSED or "auth check failure" in line:
        return CollectionError(f"{where}: Milvus refuses the token; set HDHE_MILVUS_TOKEN to one it knows")
    if status in _SILENT or "Retry timeout" in line or "should create connection" in line:
        return UnreachableError(
            f"{where}: Milvus does not answer within {settings.timeout:g} s; see that it runs and can be reached"
        )
    return StorageError(f"{where}: {doing} failed in Milvus ({line})")
