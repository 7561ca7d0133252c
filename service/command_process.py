"""A command in a process of its own, which does not outlive the one that waits for it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from types import FrameType

_ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
)


def run_command(command: Sequence[str], *, capture: bool = False) -> tuple[int, str]:
    """Run a command to its end; returns its exit code, and its standard output if that is captured ("" otherwise).

    SIGTERM and SIGHUP, unless they are ignored as under nohup, end the command too; when it is gone, SystemExit is
    raised with 128 + the signal's number, as a shell has it. Called from the main thread alone, as signals want it.
    """
    received: list[int] = []
    process: subprocess.Popen[str] | None = None

    def pass_on(number: int, _: FrameType | None) -> None:
        received.append(number)
        if process is not None:
            process.terminate()

    before = {
        number: signal.signal(number, pass_on)
        for number in _ENDING
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE if capture else None, text=True)
        if received:  # before there was a process to pass it on to
            process.terminate()
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            # A terminal has told the command, too; `kill -INT` has not.
            process.terminate()
            process.wait()
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise SystemExit(128 + received[0])
    return process.returncode, output or ""
