"""One task of a study in a process of its own: `python -m training.studies.worker`.

The task comes as a line of JSON on stdin, which then stays open: when it ends, the study has gone, and so must we, or
two processes would train in one folder after the study is started again. The answer is the last line on stdout; what
training says goes to stderr. Exit code 0: done; 1: failed, as the answer says.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from retrieval.allocator import keep_freed_memory
from retrieval.errors import UserError
from training.failure import TrainingFailedError
from training.run_folder import RunFolder, write_whole
from training.sections.section import RunSection
from training.studies.kind import Kind
from training.studies.kinds import KINDS
from training.studies.plan import PROCESS_FILE
from training.studies.together import score_together


def main() -> int:
    """Do the task on stdin."""
    keep_freed_memory()
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_the_study, daemon=True).start()
    torch.set_num_threads(task["threads"])
    kind = KINDS[task["kind"]]
    recipe = kind.recipe.model_validate(task["recipe"])
    try:
        if "score" in task:
            score = score_together([Path(folder) for folder in task["bundles"]], recipe)
            write_whole(Path(task["score"]), json.dumps(score, indent=2) + "\n")
        else:
            _train(kind, recipe, Path(task["folder"]), task["threads"])
    except (TrainingFailedError, UserError) as error:
        _answer({"failed": str(error)})
        return 1
    _answer({})
    return 0


def _train(kind: Kind[Any], recipe: RunSection, folder: Path, threads: int) -> None:
    resume = RunFolder(folder).recipe.exists()
    kind.train(recipe, folder, resume=resume, report=lambda line: print(line, file=sys.stderr, flush=True))
    used = {"peak_bytes": _peak_bytes(), "threads": threads, "torch": torch.__version__}
    write_whole(folder / PROCESS_FILE, json.dumps(used) + "\n")


def _answer(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _leave_with_the_study() -> None:
    sys.stdin.read()
    os._exit(1)


def _peak_bytes() -> int:
    """The most memory that this process had: on the GPU where it trained on one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage, whose figure on Linux begins with the memory of the process that started this one.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if platform.system() == "Darwin" else used * 1024


if __name__ == "__main__":
    sys.exit(main())
