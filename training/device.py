"""Which devices a run uses, and how precisely it computes."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from retrieval.errors import UserError
from training.recipe import Recipe


def open_accelerator(recipe: Recipe) -> Accelerator:
    """Devices and precision of a run. Raises UserError where bf16 is asked of a device that lacks it."""
    capable = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and capable)
    if bf16 and torch.cuda.is_available() and not capable:
        raise UserError("precision is bf16, which this GPU does not have; set precision to fp32")
    # Accelerate keeps the precision of a process's first run and refuses another; a study has many runs.
    AcceleratorState._reset_state()
    # Said outright, because only then do several processes without a GPU find each other.
    cpu = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    # While only new layers learn, most parameters get no gradient, which processes otherwise wait for.
    unused = DistributedDataParallelKwargs(find_unused_parameters=recipe.schedule.frozen_epochs > 0)
    return Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=cpu, kwargs_handlers=[unused])
