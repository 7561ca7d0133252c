"""kill -9 of a process that writes: what it acknowledged is there, and the index is the one the rows give.

`pytest tests/indexes/test_kill.py -m slow -s` runs fifty cycles and prints what each found.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexes.index_file import INDEX_NAME
from indexes.item_rows import DATABASE_NAME
from indexes.local_collection import LocalCollection
from tests.indexes.unit_vectors import FINGERPRINT, unit_vectors
from tests.indexes.write_until_killed import D, item

State = dict[str, int]
"""Id to the version that was last put."""

WRITER = "tests.indexes.write_until_killed"


def after(state: State, words: list[str]) -> State:
    """The state after the write that a line stands for."""
    if words[0] == "del":
        return {id: version for id, version in state.items() if id not in words[1:]}
    return state | {id: int(words[1]) for id in words[2:]}


def written_until_killed(
    folder: Path, state: State, cycle: int, version: int
) -> tuple[list[State], int, int]:
    """The states that may be there now, the number of acknowledged writes and the last version tried."""
    writer = subprocess.Popen(
        [sys.executable, "-m", WRITER, str(folder), str(cycle), str(version)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    time.sleep(random.Random(cycle).uniform(0.0, 0.6))
    writer.kill()
    lines = writer.stdout.read().splitlines(keepends=True)
    assert writer.wait() == -9, "it must not have ended by itself"
    writer.stdout.close()
    acknowledged, tried = 0, None
    for line in lines:
        if not line.endswith("\n"):
            break  # cut off by the kill
        words = line.split()
        if words[0] == "try":
            tried = words[1:]
            version = max(version, int(words[2])) if words[1] == "put" else version + 1
        else:
            assert words == tried
            state, tried, acknowledged = after(state, words), None, acknowledged + 1
    return [state] if tried is None else [state, after(state, tried)], acknowledged, version


def verify(folder: Path, possible: list[State], *, built_anew: bool) -> State:
    """Rows are one of the possible states, and the index equals one built from them."""
    queries = unit_vectors(20, D, seed=2)
    with LocalCollection.open(folder, model_fingerprint=FINGERPRINT) as collection:
        found = {item.id: int(item.label or "-1") for item in collection.page(limit=1000)}
        assert found in possible
        for id, stored in zip(found, collection.get(list(found)), strict=True):
            written = item(id, found[id])
            assert stored is not None
            assert stored.attributes == written.attributes
            assert collection.thumbnail(id) == written.thumbnail
        if found:
            vectors = collection.vectors(list(found))
            assert vectors.tobytes() == b"".join(
                item(id, version).vector.tobytes() for id, version in found.items()
            )
        report = collection.check()
        assert report.ok, report.problems
        replayed = collection.search(queries, 20)
        everything = {hit.id for hit in collection.search(queries[:1], 1000)[0]}
        assert everything == set(found)
        if built_anew:
            collection.optimise()
            assert collection.search(queries, 20) == replayed
    return found


def cycles(folder: Path, count: int) -> int:
    """Kill so many times; returns how many writes were acknowledged in all."""
    LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT).close()
    state: State = {}
    version = total = replays = in_flight = 0
    for cycle in range(count):
        possible, acknowledged, version = written_until_killed(folder, state, cycle, version)
        replays += (folder / INDEX_NAME).exists()
        log = folder / f"{DATABASE_NAME}-wal"
        print(
            f"cycle {cycle + 1}: {acknowledged} writes acknowledged, {log.stat().st_size} bytes of log left",
            end="",
        )
        state = verify(folder, possible, built_anew=True)
        in_flight += state != possible[0]
        total += acknowledged
        print(f"; {len(state)} items, all there, index equals one built anew")
    print(
        f"{count} kills, {total} acknowledged writes, none lost; {in_flight} writes were finished and not yet said"
    )
    return total


def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    assert cycles(tmp_path / "c", 6) > 20


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    assert cycles(tmp_path / "c", 50) > 500
