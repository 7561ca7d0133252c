"""kill -9 of a process that writes, compacts, rebuilds and takes snapshots, while another copies its files.

What it acknowledged is there, the index is the one that the rows give, and every snapshot holds exactly what had been
written up to the sequence number it names.

`pytest tests/indexes/test_kill.py -m slow -s` runs two hundred cycles and prints what each found.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from indexes.collection_snapshot import copy_files, describe
from indexes.item_rows import DATABASE_NAME
from indexes.local_collection import LocalCollection
from indexes.new_folder import new_folder
from indexes.snapshot_manifest import checked_manifest
from tests.indexes.unit_vectors import FINGERPRINT, unit_vectors
from tests.indexes.write_until_killed import D, item

State = dict[str, int]
"""Id to the version that was last put."""

WRITER = "tests.indexes.write_until_killed"


@dataclass
class History:
    """What a collection held after each write, told by its clock: a write of n items takes n numbers."""

    clock: int = 0
    state: State = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=lambda: {0: {}})
    version: int = 0

    def after(self, words: list[str]) -> tuple[int, State]:
        """Clock and state once the write that a line stands for is made."""
        if words[0] == "del":
            state = {id: version for id, version in self.state.items() if id not in words[1:]}
            return self.clock + len(self.state) - len(state), state
        return self.clock + len(words) - 2, self.state | {id: int(words[1]) for id in words[2:]}

    def add(self, words: list[str]) -> None:
        """Note a write that was made."""
        self.clock, self.state = self.after(words)
        self.states[self.clock] = self.state


@dataclass
class Cycle:
    """What one process did until it was killed. tried: the write that was under way."""

    acknowledged: int = 0
    tried: list[str] | None = None
    snapshots: dict[Path, int] = field(default_factory=dict)


def written_until_killed(folder: Path, history: History, number: int, snapshots: Path) -> Cycle:
    """Let a process write until it is killed, and copy its files meanwhile."""
    snapshots.mkdir()
    writer = subprocess.Popen(
        [sys.executable, "-m", WRITER, str(folder), str(number), str(history.version), str(snapshots)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    cycle = Cycle()
    ends = time.monotonic() + random.Random(number).uniform(0.0, 0.6)
    with new_folder(snapshots / "from outside") as copy:
        copy_files(folder, copy)
        cycle.snapshots[snapshots / "from outside"] = describe(copy).sequence
    time.sleep(max(0.0, ends - time.monotonic()))
    writer.kill()
    lines = writer.stdout.read().splitlines(keepends=True)
    assert writer.wait() == -9, "it must not have ended by itself"
    writer.stdout.close()
    for line in lines:
        if not line.endswith("\n"):
            break  # cut off by the kill
        words = line.split()
        match words[0]:
            case "snap":
                cycle.snapshots[Path(words[2])] = int(words[1])
            case "try":
                cycle.tried = words[1:]
                history.version = int(words[2]) if words[1] == "put" else history.version + 1
            case _:
                assert words == cycle.tried
                history.add(words)
                cycle.tried = None
                cycle.acknowledged += 1
    return cycle


def verify_snapshots(cycle: Cycle, states: dict[int, State], snapshots: Path) -> int:
    """Each is whole and holds what it names; also one that was finished and not yet said. Returns how many."""
    there = [path for path in snapshots.iterdir() if not path.name.startswith(".")]
    assert set(there) >= set(cycle.snapshots)
    for path in there:
        manifest = checked_manifest(path)
        assert manifest.sequence == cycle.snapshots.get(path, manifest.sequence)
        with LocalCollection.open(path, model_fingerprint=FINGERPRINT, read_only=True) as snapshot:
            found = {item.id: int(item.label or "-1") for item in snapshot.page(limit=1000)}
            assert found == states[manifest.sequence]
            assert snapshot.check().problems == ()
            vectors = snapshot.vectors(list(found))
        assert vectors.tobytes() == b"".join(item(id, at).vector.tobytes() for id, at in found.items())
    return len(there)


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


def cycles(tmp_path: Path, count: int) -> tuple[int, int]:
    """Kill so many times; returns how many writes were acknowledged in all, and how many snapshots were taken."""
    folder, snapshots = tmp_path / "collection", tmp_path / "snapshots"
    LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT).close()
    history = History()
    total = in_flight = copies = 0
    for number in range(count):
        cycle = written_until_killed(folder, history, number, snapshots)
        log = folder / f"{DATABASE_NAME}-wal"
        print(
            f"cycle {number + 1}: {cycle.acknowledged} writes acknowledged, {log.stat().st_size} bytes of log left",
            end="",
        )
        possible = {history.clock: history.state}
        if cycle.tried is not None:
            # A deletion that finds nothing leaves the clock as it is, and the state too.
            possible |= dict([history.after(cycle.tried)])
        copies += verify_snapshots(cycle, history.states | possible, snapshots)
        shutil.rmtree(snapshots)
        found = verify(folder, list(possible.values()), built_anew=True)
        if found != history.state:
            assert cycle.tried is not None
            history.add(cycle.tried)
            in_flight += 1
        with LocalCollection.open(folder, read_only=True) as collection:
            assert collection.stats().sequence == history.clock
        history.states = {history.clock: history.state}
        total += cycle.acknowledged
        print(f"; {len(found)} items, all there, index equals one built anew")
    print(
        f"{count} kills, {total} acknowledged writes, none lost; {in_flight} writes were finished and not yet said; "
        f"{copies} snapshots, each as of the number it names"
    )
    return total, copies


def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    writes, snapshots = cycles(tmp_path, 5)
    assert writes > 15
    assert snapshots > 5


@pytest.mark.slow
def test_two_hundred_kills(tmp_path: Path) -> None:
    writes, snapshots = cycles(tmp_path, 200)
    assert writes > 1000
    assert snapshots > 200
