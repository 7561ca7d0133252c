"""`hdhe serve` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]


def serve(*arguments: str) -> subprocess.Popen[str]:
    """Start it; the caller ends it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "hdhe.py"), "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@contextmanager
def client_of(process: subprocess.Popen[str]) -> Iterator[httpx.Client]:
    """A client of it, once it is ready."""
    assert process.stdout is not None
    address = next(
        found for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+$", line))
    )
    with httpx.Client(base_url=address.group(), timeout=30) as client:
        deadline = time.monotonic() + 60
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield client


@contextmanager
def served(*arguments: str) -> Iterator[httpx.Client]:
    """A client of one that is killed in the end. Its log is read meanwhile: a full pipe would stop the service."""
    process = serve(*arguments)
    assert process.stdout is not None
    try:
        with ThreadPoolExecutor(1) as pool:
            try:
                with client_of(process) as client:
                    pool.submit(process.stdout.read)
                    yield client
            finally:
                process.kill()
    finally:
        process.communicate()
