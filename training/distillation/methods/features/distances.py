"""Distances between a teacher's feature and a student's, element by element.

Each takes two tensors of one shape, float32 or float64, and gives one of that shape; what sums them up is the term's.
Gradients are for the student.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from training.setting import Settings

Distance = Callable[[Tensor, Tensor], Tensor]

# The gradient of a square root has no bound at 0, where most pairs are that both ReLUs closed; this bounds it by 50.
_SMOOTHING = 1e-4


def l1(teacher: Tensor, student: Tensor) -> Tensor:
    """|T - S|: every difference pulls equally hard, however small (FT: Kim et al., NeurIPS 2018, eq. 4 with p = 1)."""
    return (teacher - student).abs()


def l2(teacher: Tensor, student: Tensor) -> Tensor:
    """(T - S)^2: large responses are what counts (FitNets: Romero et al., ICLR 2015, eq. 3)."""
    return (teacher - student).square()


def l_half(teacher: Tensor, student: Tensor) -> Tensor:
    """|T - S|^0.5, one of the distances that Heo et al. (AAAI 2019) hold against AB: small differences weigh most.

    Smoothed to (|T - S| + 1e-4)^0.5 - 0.01, which is 0 for equal values and has a finite gradient there.
    """
    return ((teacher - student).abs() + _SMOOTHING).sqrt() - math.sqrt(_SMOOTHING)


def marginal_l2(teacher: Tensor, student: Tensor, mu: float = 1.0) -> Tensor:
    """Squared hinge at the activation boundary (AB: Heo et al., AAAI 2019).

    max(mu - S, 0)^2 where T > 0, max(mu + S, 0)^2 elsewhere: whether a neuron fires has to agree, by a margin of mu;
    how strongly it does is the student's affair. A binarised teacher gives the same value as the raw one.
    """
    return torch.where(teacher > 0, F.relu(mu - student), F.relu(mu + student)).square()


def partial_l2(teacher: Tensor, student: Tensor) -> Tensor:
    """0 where S <= T <= 0, else (T - S)^2 (OFD: Heo et al., ICCV 2019, eq. 6).

    Positive responses have to be the teacher's; below a negative one the student may be as low as it likes, as the
    ReLU that follows cannot tell.
    """
    free = (student <= teacher) & (teacher <= 0)
    return (teacher - student).square().masked_fill(free, 0.0)


DISTANCES: dict[str, Callable[[Settings], Distance]] = {
    "l1": lambda settings: l1,
    "l2": lambda settings: l2,
    "l0.5": lambda settings: l_half,
    "marginal_l2": lambda settings: partial(marginal_l2, mu=float(settings["mu"])),
    "partial_l2": lambda settings: partial_l2,
}
"""The distances that a recipe can name, built from a method's settings."""
