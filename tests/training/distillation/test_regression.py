"""A linear layer in closed form, against NumPy's least squares and against what it must give afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from retrieval.errors import UserError
from retrieval.networks import EnsembleSpec, HeadSpec, build_ensemble
from training.distillation.regression import fit_linear_layer, linear_layer
from training.distillation.sides import EnsembleSide


def student(size: int = 6) -> EnsembleSide:
    torch.manual_seed(4)
    head = HeadSpec(last_block="res4_1", reduction="linear", size=size)
    spec = EnsembleSpec("mobilenet_v3_small", "B3", (head,), mirror=False)
    return EnsembleSide(build_ensemble(spec, weights=None), mirror=False)


def views() -> list[tuple[torch.Tensor, torch.Tensor]]:
    draw = torch.Generator().manual_seed(9)
    return [(x, x) for x in torch.randn(40, 10, 3, 32, 32, generator=draw)]


def test_the_layer_is_the_least_squares_solution() -> None:
    taught, own = student(), student()
    torch.manual_seed(5)
    torch.nn.init.normal_(linear_layer(taught.network)[0].weight)
    inputs: list[torch.Tensor] = []
    linear, _ = linear_layer(own.network)
    with torch.no_grad():
        handle = linear.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
        own.eval()
        taught.eval()
        for x, _ in views():
            own(x)
        handle.remove()
        targets = torch.cat([embedded for x, _ in views() if (embedded := taught(x).embedding) is not None])
    explained = fit_linear_layer(own, taught, views(), strength=1e-9)

    x = np.c_[torch.cat(inputs).double().numpy(), np.ones(400)]
    wanted = 6**0.5 * targets.double().numpy()
    solution, *_ = np.linalg.lstsq(x, wanted, rcond=None)
    with torch.no_grad():
        given = torch.cat([own(v).feature for v, _ in views()]).numpy()
    np.testing.assert_allclose(given, x @ solution, atol=2e-3)
    residual = ((wanted - x @ solution) ** 2).sum() / ((wanted - wanted.mean(0)) ** 2).sum()
    assert explained == pytest.approx(1 - residual, abs=1e-3)


def test_a_student_without_a_linear_layer_is_refused() -> None:
    spec = EnsembleSpec("mobilenet_v3_small", "B3", (HeadSpec(last_block="res4_1"),))
    with pytest.raises(UserError, match="reduction: linear"):
        linear_layer(build_ensemble(spec, weights=None))


def test_a_layer_of_another_size_than_the_embedding_is_refused() -> None:
    with pytest.raises(UserError, match="of size 5, to the teacher's embeddings of 6 numbers"):
        fit_linear_layer(student(5), student(6), views(), strength=0.01)
