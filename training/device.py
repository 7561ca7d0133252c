"""Which devices and processes a run uses, and how precisely it computes."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, gather_object

from retrieval.errors import UserError
from training.sections.machine import Precision

_PATIENCE = timedelta(hours=6)
"""How long processes wait for one another: the first one scores alone, which takes long for a large set."""


def open_accelerator(precision: Precision, *, idle_parameters: bool) -> Accelerator:
    """Devices and precision of a run. Raises UserError where bf16 is asked of a device that lacks it.

    idle_parameters: whether some of what learns gets no gradient in some steps, which other processes would wait for.
    """
    capable = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    bf16 = precision == "bf16" or (precision == "auto" and capable)
    if bf16 and torch.cuda.is_available() and not capable:
        raise UserError("precision is bf16, which this GPU does not have; set precision to fp32")
    # Accelerate keeps the precision of a process's first run and refuses another; a study has many runs.
    AcceleratorState._reset_state()
    # Said outright, because only then do several processes without a GPU find each other.
    cpu = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    unused = DistributedDataParallelKwargs(find_unused_parameters=idle_parameters)
    patience = InitProcessGroupKwargs(timeout=_PATIENCE)
    return Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=cpu, kwargs_handlers=[unused, patience])


def check_alike(accelerator: Accelerator, value: object, what: str) -> None:
    """Raises UserError, in every process, where processes have different values of what they must have in common."""
    if accelerator.num_processes == 1:
        return
    found = gather_object([str(value)])
    other = next((number for number, each in enumerate(found) if each != found[0]), None)
    if other is not None:
        raise UserError(
            f"processes 0 and {other} see different {what}; give all machines the same data and a common --out"
        )


def lost_process(error: RuntimeError) -> bool:
    """Whether an error says that another process of the run is gone, which has its own reason."""
    if isinstance(error, torch.distributed.DistError):
        return True
    # gloo has no class of its own for it.
    return "gloo" in str(error) and any(sign in str(error) for sign in ("onnection", "ocket", "imed out"))


def leave_processes() -> None:
    """At the end of a run of many processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
