"""Tasks in processes of their own, a few at a time, that end when this one ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import training

_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class StoppedError(Exception):
    """The task was stopped by `Processes.stop`."""


class Processes:
    """Starts `training.studies.worker` for each task. Safe for use from many threads."""

    def __init__(self, threads: int) -> None:
        """threads: of each process."""
        self._threads = threads
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def do(self, task: dict[str, Any], log: Path) -> str | None:
        """Do a task and wait for it. log: file that what it says is added to.

        Returns None when it is done, else why it failed, in one line. Raises StoppedError after `stop`.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            process = self._start(file)
            try:
                answer = self._wait(process, task)
            finally:
                with self._lock:
                    self._running.discard(process)
        if self._stopped:
            raise StoppedError
        if process.returncode == 0:
            return None
        said = _last_line(answer)
        if said.startswith("{"):
            return str(json.loads(said)["failed"])
        reason = f"signal {-process.returncode}" if process.returncode < 0 else _last_line(log.read_text())
        return f"its process ended unexpectedly ({reason}); see {log}"

    def stop(self) -> None:
        """End all running tasks and start no more. What a run has saved stays: it can be resumed."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _start(self, log: Any) -> subprocess.Popen[str]:
        environment = os.environ | dict.fromkeys(_POOLS, str(self._threads))
        # Passive, because processes that share cores must not burn them waiting.
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        root = str(Path(training.__file__).parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
        with self._lock:
            if self._stopped:
                raise StoppedError
            process = subprocess.Popen(
                [sys.executable, "-m", "training.studies.worker"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C is for the study, which then ends its processes itself.
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def _wait(self, process: subprocess.Popen[str], task: dict[str, Any]) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(task | {"threads": self._threads}) + "\n")
            process.stdin.flush()
            answer = process.stdout.read()
        except BrokenPipeError:  # it ended before it could listen
            answer = ""
        process.wait()
        # Open until now: its end would tell the process to leave.
        process.stdin.close()
        process.stdout.close()
        return answer


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
