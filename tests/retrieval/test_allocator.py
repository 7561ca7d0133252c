"""The truth is the system's own count of the pages that it had to provide."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys

import pytest

from retrieval.allocator import keep_freed_memory

PROGRAM = """
import json, resource, sys
import numpy as np
from retrieval.allocator import keep_freed_memory

kept = keep_freed_memory() if sys.argv[1] == "kept" else None

def use():
    # As activations are: some small, some large, freed together.
    arrays = [np.ones(size * 2**20, np.uint8) for size in (1, 40, 8, 100)]
    del arrays

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(json.dumps([kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before]))
"""


def pages(how: str) -> tuple[bool | None, int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, timeout=60
    )
    kept, faults = json.loads(done.stdout)
    return kept, faults


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc only"
)
def test_freed_arrays_are_not_fetched_from_the_system_again() -> None:
    _, handed_back = pages("as it is")
    kept, again = pages("kept")

    assert kept is True
    # Ten times 149 MiB; how large a page is differs by system.
    assert handed_back > 500
    assert again < handed_back / 20


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())

    assert keep_freed_memory() is False
