"""A command in a process of its own, and what ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.command_process import run_command

# Ends well when it is asked to, as `hdhe serve` does, and tells where it is.
SERVER = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
note = pathlib.Path("pid.part")
note.write_text(str(os.getpid()))
note.rename("pid")
time.sleep(60)
"""

# What runs in the background inherits that SIGINT and SIGHUP are ignored.
WAITING = """
import signal, sys
from service.command_process import run_command
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
run_command([sys.executable, "-c", sys.argv[1]])
"""


def test_the_exit_code_and_what_was_printed() -> None:
    command = [sys.executable, "-c", "print('seen'); raise SystemExit(3)"]
    assert run_command(command, capture=True) == (3, "seen\n")
    assert run_command([sys.executable, "-c", ""]) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_ends_the_one_that_waits_ends_the_command(tmp_path: Path, asked: signal.Signals) -> None:
    root = Path(__file__).parents[2]
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAITING, SERVER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        server = int((tmp_path / "pid").read_text())
        waiting.send_signal(asked)
        code = waiting.wait(30)
    finally:
        waiting.kill()
        waiting.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(server, signal.SIGKILL)
    if asked != signal.SIGINT:
        assert code == 128 + asked
