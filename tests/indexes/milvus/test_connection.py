"""What a user is told when Milvus is not there, refuses, or is taken."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest

from indexes.errors import (
    CollectionError,
    CollectionLockedError,
    ForeignModelError,
    StorageError,
    UnreachableError,
)
from indexes.milvus.connection import Connection
from indexes.milvus.settings import MilvusSettings
from indexes.milvus_collection import MilvusCollection
from tests.indexes.milvus_lite import create_milvus, needs_milvus_lite, open_milvus, settings
from tests.indexes.unit_vectors import FINGERPRINT, items

pytestmark = needs_milvus_lite


@pytest.fixture
def refusing() -> Iterator[tuple[str, list[object]]]:
    """A server that answers every request with the status that is put into the list."""
    import grpc

    answer: list[object] = []

    class Refusing(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, _: object) -> object:
            def refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
                context.abort(answer[0], "auth check failure, please check username and password are correct")
                return b""

            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Refusing()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", answer
    server.stop(None).wait()


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    assert len(str(error)) < 500
    return str(error)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError, match="does not answer within 1 s") as refusal:
        Connection(MilvusSettings(uri=f"http://127.0.0.1:{port}", collection="shop", timeout=1))
    assert f"shop at http://127.0.0.1:{port}" in one_line(refusal.value)


def test_a_token_that_is_refused(
    refusing: tuple[str, list[object]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import grpc

    uri, answer = refusing
    monkeypatch.setenv("HDHE_MILVUS_TOKEN", "user:secret")
    for status in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        answer[:] = [status]
        with pytest.raises(CollectionError, match="refuses the token; set HDHE_MILVUS_TOKEN") as refusal:
            Connection(MilvusSettings(uri=uri, collection="shop", timeout=1)).has("shop")
        assert "secret" not in one_line(refusal.value)
    # Told once, by the error.
    assert "Traceback" not in capfd.readouterr().err


def test_what_milvus_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    connection = Connection(settings(tmp_path))
    try:
        with pytest.raises(CollectionError, match="Milvus has no such collection") as refusal:
            connection.query("items", 'id == "a"', ["id"])
        one_line(refusal.value)
        with (
            create_milvus(tmp_path, embedding_size=4),
            pytest.raises(StorageError, match="reading failed") as refusal,
        ):
            connection.query("items", "id ==", ["id"])
        one_line(refusal.value)
    finally:
        connection.close()
        connection.close()
    with pytest.raises(CollectionError, match="closed"):
        connection.has("items")


def test_one_process_at_a_time_has_a_lite_file(tmp_path: Path) -> None:
    with create_milvus(tmp_path, embedding_size=4):
        code = (
            "import sys; from pathlib import Path; from tests.indexes.milvus_lite import open_milvus\n"
            "try: open_milvus(Path(sys.argv[1]))\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    assert other.stdout.startswith(CollectionLockedError.__name__)
    assert "another process has it open" in other.stdout
    assert other.stderr == ""


def test_a_lite_file_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "milvus.db").write_text("a file where a folder has to be")
    with pytest.raises(StorageError, match="Milvus Lite cannot open it"):
        create_milvus(tmp_path, embedding_size=4)


def test_what_is_there_already_and_what_is_not(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="no collection is there"):
        open_milvus(tmp_path)
    with create_milvus(tmp_path, embedding_size=4) as collection:
        collection.upsert(items(3, 4))
        with pytest.raises(CollectionError, match=r"is there already.*collection=NAME"):
            create_milvus(tmp_path, embedding_size=4)
        assert collection.count() == 3
        with pytest.raises(ForeignModelError, match="filled by model 555555555555, not 666666666666"):
            MilvusCollection.open(settings(tmp_path), model_fingerprint="6" * 64)
        with MilvusCollection.open(
            settings(tmp_path), model_fingerprint=FINGERPRINT, read_only=True
        ) as reading:
            assert reading.count() == 3
            with pytest.raises(CollectionError, match="for reading only"):
                reading.delete(["1"])
            reading.optimise()
    with pytest.raises(CollectionError, match="embedding_size must be 1 to 32768"):
        create_milvus(tmp_path, embedding_size=40_000)


def test_a_collection_that_could_not_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("indexes.milvus.beside.Beside.put", _fails)
        with pytest.raises(StorageError, match="full"):
            create_milvus(tmp_path, embedding_size=4)
    with create_milvus(tmp_path, embedding_size=4) as collection:
        assert collection.count() == 0


def test_without_the_libraries_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pymilvus", None)
        with pytest.raises(CollectionError, match=r"pip install 'hdhe\[milvus\]'"):
            create_milvus(tmp_path, embedding_size=4)
    monkeypatch.setitem(sys.modules, "milvus_lite.adapter.grpc.server", None)
    with pytest.raises(CollectionError, match=r"pip install 'hdhe\[milvus-lite\]'"):
        create_milvus(tmp_path, embedding_size=4)


def test_items_by_label_in_partitions(tmp_path: Path) -> None:
    with create_milvus(tmp_path, embedding_size=4, partitions=4) as collection:
        stored = items(40, 4)
        collection.upsert(stored)
        moved = stored[3].__class__("3", stored[3].vector, "label 1")
        collection.upsert([moved])
        assert collection.count() == 40
        assert [hit.id for hit in collection.search(moved.vector[None], 1)[0]] == ["3"]
        assert collection.get(["3"])[0].label == "label 1"  # type: ignore[union-attr]
        collection.delete(["3"])
        assert collection.get(["3"]) == [None]


def _fails(*_: object) -> None:
    raise StorageError("full")
