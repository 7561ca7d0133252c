"""Which devices a run uses, and how precisely it computes."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from retrieval.errors import UserError
from training.sections.machine import Precision


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
    return Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=cpu, kwargs_handlers=[unused])
