"""What a killed process has acknowledged is there, and of what it had not, all of a write or nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.indexes.milvus_lite import needs_milvus_lite, open_milvus

pytestmark = needs_milvus_lite
# Kills at other points of a write: after the first line, in the middle, and so on.
ROUNDS = [1, 4, pytest.param(7, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.slow)]


@pytest.mark.parametrize("lines", ROUNDS)
def test_kill(tmp_path: Path, lines: int) -> None:
    command = [sys.executable, "-m", "tests.indexes.milvus.write_until_killed", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().split() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        # What it had said by then.
        said += [line.split() for line in writer.stdout.read().splitlines()]
    upserted = max(int(number) for word, number in said if word == "upserted")
    deleted = max((int(number) for word, number in said if word == "deleted"), default=-1)
    with open_milvus(tmp_path) as collection:
        (same,) = collection.get(["same"])
        assert same is not None
        # The one that was under way may have been made.
        last = int(same.label or "")
        assert last in (upserted, upserted + 1)
        ids = {item.id for item in collection.page()}
        assert {f"{last}/0", f"{last}/1", "same"} <= ids
        assert not [id for id in ids if id != "same" and int(id.split("/")[0]) < deleted]
        assert collection.stats().sequence >= same.sequence
        for id in ids - {"same"}:
            assert collection.thumbnail(id) == bytes([int(id.split("/")[0]) % 256])
