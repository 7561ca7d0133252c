"""Two processes of one run (gloo), as torchrun starts them, that stay for one job after another.

A job is a function of a module that the processes can import, and what it returns is sent back from each of them.
"""

from __future__ import annotations

import os
import queue
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

PROCESSES = 2
_PATIENCE = 300.0


class TwoProcesses:
    """Runs jobs in both at once."""

    def __init__(self, jobs: list[Any], answers: Any) -> None:
        self._jobs, self._answers = jobs, answers

    def run(self, job: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What the job returned in the first and in the second process. Raises AssertionError with their traceback."""
        for each in self._jobs:
            each.put((job, arguments))
        found: dict[int, Any] = {}
        failures = []
        for _ in range(PROCESSES):
            try:
                rank, result, failure = self._answers.get(timeout=_PATIENCE)
            except queue.Empty:
                failures.append("a process of the two does not answer")
                break
            found[rank] = result
            failures += [failure] if failure else []
        assert not failures, "\n".join(failures)
        return [found[rank] for rank in range(PROCESSES)]


@contextmanager
def two_processes(folder: Path) -> Iterator[TwoProcesses]:
    """Start them, and stop them at the end. folder: for the file in which they find each other."""
    context = mp.get_context("spawn")
    jobs: list[Any] = [context.Queue() for _ in range(PROCESSES)]
    answers: Any = context.Queue()
    children = [
        context.Process(target=_serve, args=(rank, str(folder / "meeting"), jobs[rank], answers), daemon=True)
        for rank in range(PROCESSES)
    ]
    for child in children:
        child.start()
    try:
        yield TwoProcesses(jobs, answers)
    finally:
        for each in jobs:
            each.put(None)
        for child in children:
            child.join(20)
            if child.is_alive():
                child.kill()


def _serve(rank: int, meeting: str, jobs: Any, answers: Any) -> None:
    torch.set_num_threads(1)
    # What Accelerate looks for; the processes meet in a file, so that no port is needed.
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(PROCESSES),
        "LOCAL_WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1",
    }
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=PROCESSES)
    while (task := jobs.get()) is not None:
        job, arguments = task
        try:
            answers.put((rank, job(*arguments), None))
        except BaseException:
            answers.put((rank, None, traceback.format_exc()))
    dist.destroy_process_group()
