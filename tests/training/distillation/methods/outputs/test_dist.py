from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from tests.training.distillation.methods.signal_steps import classifiers, output, step
from training.distillation.methods.outputs.dist import PredictionCorrelation, correlation_distance
from training.distillation.methods.outputs.output_methods import OUTPUT_METHODS


def draw(seed: int) -> torch.Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_against_scipys_correlation() -> None:
    student, teacher, tau = draw(0), draw(1), 4.0
    p, q = ((values / tau).softmax(1).numpy() for values in (student, teacher))
    inter = 1 - np.mean([pearsonr(a, b).statistic for a, b in zip(p, q, strict=True)])
    intra = 1 - np.mean([pearsonr(a, b).statistic for a, b in zip(p.T, q.T, strict=True)])
    value = PredictionCorrelation(2.0, 3.0, tau)(step(output(student), output(teacher)))
    assert value.item() == pytest.approx(16 * (2 * inter + 3 * intra), rel=1e-4)


def test_rows_in_line_cost_nothing_and_opposite_rows_two() -> None:
    row = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64)
    assert correlation_distance(3 * row + 5, row).item() == pytest.approx(0, abs=1e-7)
    assert correlation_distance(-row, row).item() == pytest.approx(2, abs=1e-7)


def test_rows_without_variance_do_not_correlate() -> None:
    flat = torch.ones(2, 3, requires_grad=True)
    value = correlation_distance(flat, torch.ones(2, 3))
    (slope,) = torch.autograd.grad(value, flat)
    assert value.item() == 1
    assert torch.isfinite(slope).all()


def test_gradients() -> None:
    student, teacher = draw(0).requires_grad_(), draw(1)
    term = PredictionCorrelation(1.0, 1.0, 2.0)
    assert torch.autograd.gradcheck(lambda s: term(step(output(s), output(teacher))), (student,))


def test_the_row_builds_it() -> None:
    row = {row.name: row for row in OUTPUT_METHODS}["dist"]
    term = row.build(classifiers(), *row.resolve({"beta": 2, "temperature": 4}))
    assert isinstance(term, PredictionCorrelation)
    assert (term.beta, term.gamma, term.temperature) == (2, 1, 4)
