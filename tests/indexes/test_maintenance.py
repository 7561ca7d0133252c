"""Looking after a collection that another has open, through its socket."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from indexes import maintenance
from indexes.control_socket import SOCKET_NAME, ControlSocket, NobodyThereError, ask
from indexes.errors import CollectionError, CollectionLockedError
from indexes.index_building import StoppedError
from indexes.local_collection import LocalCollection
from tests.indexes.unit_vectors import FINGERPRINT, items

D = 8


@pytest.fixture
def held(tmp_path: Path) -> Iterator[LocalCollection]:
    """Open for writing, with a socket."""
    folder = tmp_path / "c"
    with LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT) as collection:
        collection.upsert(items(400, D))
        control = ControlSocket(folder, maintenance.tasks_of(collection))
        yield collection
        control.close()


def test_a_collection_that_is_held_is_looked_after_by_its_holder(held: LocalCollection) -> None:
    report = maintenance.check(held.folder)
    assert report == held.check()
    held._index.in_use.remove(held._index.keys()[:2])
    assert maintenance.check(held.folder).problems[0] == "index: 2 items are missing from it"
    before = held._index.in_use
    assert maintenance.rebuild(held.folder, "hnsw") == "hnsw"
    assert held._index.in_use is not before
    assert held.check().ok
    held.delete([str(number) for number in range(300)])
    done = maintenance.compact(held.folder)
    assert done.bytes_after < done.bytes_before


def test_the_same_where_nobody_holds_it(tmp_path: Path) -> None:
    with LocalCollection.create(tmp_path, embedding_size=D, model_fingerprint=FINGERPRINT) as collection:
        collection.upsert(items(400, D))
    assert maintenance.rebuild(tmp_path, "sq8") == "sq8"
    assert maintenance.rebuild(tmp_path) == "sq8", "the kind is remembered"
    assert maintenance.check(tmp_path).ok
    assert maintenance.compact(tmp_path).bytes_after > 0
    with pytest.raises(CollectionError, match="index must be one of"):
        maintenance.rebuild(tmp_path, "best")


def test_a_holder_without_a_socket_is_named(tmp_path: Path) -> None:
    with LocalCollection.create(tmp_path, embedding_size=D, model_fingerprint=FINGERPRINT) as collection:
        collection.upsert(items(40, D))
        with pytest.raises(CollectionLockedError, match=f"pid {os.getpid()}"):
            maintenance.compact(tmp_path)
        with pytest.raises(CollectionLockedError):
            maintenance.rebuild(tmp_path)
        # Reading needs nobody's leave.
        assert maintenance.check(tmp_path).ok


def test_errors_cross_as_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise CollectionError("it cannot be done; do something else")

    def stop() -> None:
        raise StoppedError

    def fail() -> None:
        raise ZeroDivisionError("at /a/secret/path")

    control = ControlSocket(tmp_path, {"refuse": refuse, "stop": stop, "fail": fail, "echo": lambda x: x})
    try:
        with pytest.raises(CollectionError, match=r"^it cannot be done; do something else$"):
            ask(tmp_path, "refuse")
        with pytest.raises(CollectionError, match="is stopping"):
            ask(tmp_path, "stop")
        with pytest.raises(CollectionError, match=r"its log has the cause$"):
            ask(tmp_path, "fail")
        assert "ZeroDivisionError" in caplog.text
        with pytest.raises(CollectionError, match="knows no task 'other'; upgrade it"):
            ask(tmp_path, "other")
        assert ask(tmp_path, "echo", x={"ä": [1, None, 2.5]}) == {"ä": [1, None, 2.5]}
    finally:
        control.close()
    assert not (tmp_path / SOCKET_NAME).exists()
    with pytest.raises(NobodyThereError):
        ask(tmp_path, "echo", x=1)


def test_only_this_user_may_ask(tmp_path: Path) -> None:
    control = ControlSocket(tmp_path, {})
    mode = (tmp_path / SOCKET_NAME).stat().st_mode
    control.close()
    control.close()
    assert stat.S_IMODE(mode) & 0o077 == 0


def test_what_a_killed_process_left_behind_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET_NAME))
    with pytest.raises(NobodyThereError):
        ask(tmp_path, "echo", x=1)
    control = ControlSocket(tmp_path, {"echo": lambda x: x})
    assert ask(tmp_path, "echo", x=1) == 1
    control.close()


def test_a_long_path_and_a_rude_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    folder.mkdir(parents=True)
    monkeypatch.setattr("indexes.control_socket._SECONDS_TO_ASK", 0.2)
    control = ControlSocket(folder, {"echo": lambda x: x})
    try:
        monkeypatch.chdir(folder)
        for line in (
            b"",
            b"not json\n",
            b"[]\n",
            b'{"task": "echo"}\n',
            b'{"task": "echo", "arguments": {}}\n',
        ):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(SOCKET_NAME)
                client.sendall(line)
                if line:
                    assert "error" in json.loads(client.makefile().readline())
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(SOCKET_NAME)
            assert ask(folder, "echo", x=1) == 1
    finally:
        control.close()


def test_a_folder_without_sockets_is_no_reason_to_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    control = ControlSocket(tmp_path / "gone", {})
    control.close()
    (record,) = caplog.records
    assert "cannot be looked after while it is served" in record.message


def test_closing_does_not_wait_for_a_task(tmp_path: Path) -> None:
    begun, go_on = Event(), Event()

    def wait() -> str:
        begun.set()
        assert go_on.wait(20)
        return "done"

    control = ControlSocket(tmp_path, {"wait": wait})
    answers: list[object] = []
    thread = Thread(target=lambda: answers.append(ask(tmp_path, "wait")))
    thread.start()
    assert begun.wait(20)
    control.close()
    go_on.set()
    thread.join()
    assert answers == ["done"]


def test_handing_over_refuses_later_writes_and_a_failure_does_not(held: LocalCollection) -> None:
    with pytest.raises(ZeroDivisionError), held.handing_over():
        raise ZeroDivisionError
    held.upsert(items(1, D))
    waiting: list[BaseException] = []

    def write() -> None:
        try:
            held.upsert(items(1, D))
        except CollectionError as error:
            waiting.append(error)

    with held.handing_over():
        thread = Thread(target=write)
        thread.start()
        thread.join(0.1)
        assert thread.is_alive(), "it waits"
        sequence = held.stats().sequence
    thread.join()
    with pytest.raises(CollectionError, match="another collection has taken its place"):
        held.delete(["1"])
    assert len(waiting) == 1
    assert held.stats().sequence == sequence
