"""How far a student's neurons fire together with its teacher's."""

from __future__ import annotations

from torch import Tensor


def overlap(teacher: Tensor, student: Tensor) -> float:
    """Share of equal activations, 0 to 1 (Heo et al., AAAI 2019: percentage of same activation).

    teacher, student: maps of one shape before or after a ReLU. A neuron is active where its response is > 0. Compare
    a share with that of neurons that never fire, which have learned nothing and may have more than 0.5. Raises
    ValueError for two shapes.
    """
    if teacher.shape != student.shape:
        raise ValueError(f"maps of two shapes: {tuple(teacher.shape)} and {tuple(student.shape)}")
    return ((teacher > 0) == (student > 0)).double().mean().item()
