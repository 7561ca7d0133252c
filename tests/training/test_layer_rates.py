"""Learning rates by head and block against the paper's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from retrieval.errors import UserError
from retrieval.networks import build_ensemble, preset_spec
from training.freezing import freeze, frozen_parts
from training.layer_rates import rate_groups
from training.learner import Learner
from training.objective import Objective, ObjectiveResult
from training.sections.optimiser import OptimiserSection


class Classifiers(Objective):
    """A layer a head and a temperature for all."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 2) for _ in range(heads))
        self.temperature = nn.Parameter(torch.ones(1))

    def forward(self, features: tuple[Tensor, ...], labels: Tensor) -> ObjectiveResult:
        raise AssertionError("nothing is computed here")

    def head_parameters(self, head: int) -> list[Parameter]:
        return list(self.layers[head].parameters())


def learner(preset: str) -> Learner:
    spec = preset_spec(preset, "resnet18")
    return Learner(build_ensemble(spec, weights=None), Classifiers(len(spec.heads)))


@pytest.fixture(scope="module")
def model() -> Learner:
    return learner("hdhe")


def test_the_rates_of_the_paper(model: Learner) -> None:
    """Trunk and first head 5e-4, second head 4e-3, their classifiers 5e-3 and 4e-2."""
    rates: dict[str, set[float]] = {}
    for group in rate_groups(model, OptimiserSection()):
        owner, place = group.name.split(".")
        rates.setdefault(f"{owner} classifier" if place == "classifier" else owner, set()).add(group.rate)
    assert rates == {
        "trunk": {5e-4},
        "head1": {5e-4},
        "head2": {4e-3},
        "head1 classifier": {5e-3},
        "head2 classifier": {4e-2},
        "shared classifier": {5e-3},
    }


def test_every_parameter_is_in_one_group(model: Learner) -> None:
    grouped = [id(p) for group in rate_groups(model, OptimiserSection()) for p in group.parameters]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in model.parameters()}


def test_block_factors_reach_the_trunk_and_every_head(model: Learner) -> None:
    section = OptimiserSection(lr=1.0, block_factors={1: 0.5, 5: 10.0}, stem_factor=0.25)
    rates = {group.name: group.rate for group in rate_groups(model, section)}
    assert rates["trunk.stem"] == 0.5 * 0.25
    assert rates["trunk.block1"] == 0.5 * 0.5
    assert rates["trunk.block2"] == 0.5
    assert rates["head1.block5"] == 0.5 * 10
    assert rates["head2.block5"] == 4 * 10


def test_named_factors_count_the_blocks_that_a_pruned_network_keeps() -> None:
    pruned = learner("pruned")  # 7 of the 8 blocks
    groups = rate_groups(pruned, OptimiserSection(lr=1.0, block_factors="double_dagger"))
    rates = {group.block: group.rate for group in groups if group.block is not None}
    assert rates == dict.fromkeys(range(7), 1.0) | {7: 10.0}


def test_rates_that_do_not_match_the_blocks_are_one_line(model: Learner) -> None:
    with pytest.raises(UserError, match="has 3 factors; this network has 8 blocks") as caught:
        rate_groups(model, OptimiserSection(block_factors=(1, 2, 3)))
    assert "\n" not in str(caught.value)


def test_frozen_parameters_are_in_no_group() -> None:
    model = learner("hdhe")
    freeze(frozen_parts(model.network, "B1"))
    names = [group.name for group in rate_groups(model, OptimiserSection())]
    assert not {"trunk.stem", "trunk.block1", "trunk.block2"} & set(names)
    assert "trunk.block3" in names
