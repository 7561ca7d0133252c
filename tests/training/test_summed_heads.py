"""The joint objective against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from training.losses import build_loss
from training.sections.loss import HeadDistillation, LossSection, Mixup, PairTerm
from training.summed_heads import SummedHeads, ensemble_teaches_heads

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def features(*sizes: int) -> tuple[Tensor, ...]:
    torch.manual_seed(4)
    return tuple(torch.randn(len(LABELS), size, requires_grad=True) for size in sizes)


def losses(name: str, *sizes: int) -> list[torch.nn.Module]:
    torch.manual_seed(5)
    return [build_loss(name, size, 3, {}, hidden=False) for size in sizes]


def test_heads_weigh_the_same_and_pairs_their_weight() -> None:
    heads, pairs = losses("norm_softmax", 4, 7), losses("contrastive", 4, 7)
    inputs = features(4, 7)
    result = SummedHeads(heads, pairs=pairs, pair_weight=0.3)(inputs, LABELS)  # type: ignore[arg-type]  # head losses
    expected = sum(head(f, LABELS)[0].item() for head, f in zip(heads, inputs, strict=True))
    expected += 0.3 * sum(pair(f, LABELS)[0].item() for pair, f in zip(pairs, inputs, strict=True))
    assert math.isclose(result.loss.item(), expected, rel_tol=1e-5)
    assert [None if one is None else tuple(one.shape) for one in result.logits] == [(6, 3), (6, 3)]


def test_every_parameter_belongs_to_one_head() -> None:
    objective = SummedHeads(losses("norm_softmax", 4, 7), pairs=losses("proxy_anchor", 4, 7), pair_weight=1)  # type: ignore[arg-type]  # head losses
    own = [parameter for head in (0, 1) for parameter in objective.head_parameters(head)]
    assert {id(p) for p in own} == {id(p) for p in objective.parameters()}
    assert len(own) == 4
    assert objective.shared_parameters(2) == []


def test_the_ensemble_teaches_by_the_divergence_written_out() -> None:
    one, two = features(4, 7)
    temperature = 0.2
    expected = 0.0
    cosines = [torch.nn.functional.cosine_similarity(f[:, None], f[None], dim=2).tolist() for f in (one, two)]
    for image in range(6):
        others = [other for other in range(6) if other != image]

        def softmax(values: list[float]) -> list[float]:
            powers = [math.exp(value / temperature) for value in values]
            return [power / sum(powers) for power in powers]

        teacher = softmax([(cosines[0][image][o] + cosines[1][image][o]) / 2 for o in others])
        for head in cosines:
            student = softmax([head[image][o] for o in others])
            expected += sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True)) / 6
    found = ensemble_teaches_heads((one, two), temperature)
    assert math.isclose(found.item(), expected, rel_tol=1e-4)
    # The ensemble's cosine is that of its embedding: unit features side by side.
    units = torch.cat([torch.nn.functional.normalize(f, dim=1) for f in (one, two)], 1)
    assert math.isclose(
        torch.nn.functional.cosine_similarity(units[0], units[1], dim=0).item(),
        (cosines[0][0][1] + cosines[1][0][1]) / 2,
        rel_tol=1e-5,
    )
    same = ensemble_teaches_heads((one, one), temperature)
    assert abs(same.item()) < 1e-6


def test_mixing_uses_both_labels_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    class Recorder(torch.nn.Module):
        def forward(self, feature: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
            seen.append((feature, labels))
            return feature.sum(), None

    (inputs,) = features(4)
    objective = SummedHeads([Recorder()], mixup=Mixup(alpha=1.0, weight=0.25))  # type: ignore[list-item]  # stands for a head loss
    torch.manual_seed(11)
    result = objective((inputs,), LABELS)
    torch.manual_seed(11)
    share = torch.distributions.Beta(1.0, 1.0).sample()
    other = torch.randperm(6)
    length = inputs.norm(dim=1, keepdim=True)
    mixture = (share * inputs / length + (1 - share) * (inputs / length)[other]) * length.mean()
    torch.testing.assert_close(seen[1][0], mixture)
    assert torch.equal(seen[2][1], LABELS[other])
    # Both calls see the same mixture, so the shares of the two labels add up to its loss.
    torch.testing.assert_close(result.loss, 0.75 * inputs.sum() + 0.25 * mixture.sum())


def test_gradients_reach_every_head() -> None:
    inputs = features(4, 7)
    section = LossSection(
        name="norm_softmax",
        pair=PairTerm(name="multi_similarity", weight=0.5),
        mixup=Mixup(),
        distil_heads=HeadDistillation(),
    )
    objective = SummedHeads(
        losses("norm_softmax", 4, 7),  # type: ignore[arg-type]  # head losses
        pairs=losses("multi_similarity", 4, 7),  # type: ignore[arg-type]  # head losses
        pair_weight=0.5,
        mixup=section.mixup,
        distillation=section.distil_heads,
    )
    objective(inputs, LABELS).loss.backward()
    for value in inputs:
        assert value.grad is not None
        assert bool(torch.isfinite(value.grad).all())
        assert float(value.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "tripel"}, "name must be one of"),
        ({"name": "triplet", "mixup": {}}, "mixup needs a loss with classes"),
        ({"name": "norm_softmax", "settings": {"heat": 1}}, "heat"),
        ({"pair": {"name": "nothing"}}, "name must be one of"),
        ({"pair": {"name": "triplet", "weight": 0}}, "weight"),
    ],
)
def test_losses_that_cannot_be_built_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossSection.model_validate(values)
