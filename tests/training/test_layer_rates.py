"""Learning rates by head and block against the paper's."""

from __future__ import annotations

import pytest

from retrieval.errors import UserError
from retrieval.networks import build_ensemble, preset_spec
from training.classifier import ClassifiedEnsemble
from training.freezing import freeze, frozen_parts
from training.layer_rates import block_factors, rate_groups
from training.sections.optimiser import OptimiserSection


@pytest.fixture(scope="module")
def model() -> ClassifiedEnsemble:
    return ClassifiedEnsemble(build_ensemble(preset_spec("hdhe", "resnet18"), weights=None), classes=5)


def test_the_rates_of_the_paper(model: ClassifiedEnsemble) -> None:
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
    }


def test_every_parameter_is_in_one_group(model: ClassifiedEnsemble) -> None:
    grouped = [id(p) for group in rate_groups(model, OptimiserSection()) for p in group.parameters]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in model.parameters()}


def test_block_factors_reach_the_trunk_and_every_head(model: ClassifiedEnsemble) -> None:
    section = OptimiserSection(lr=1.0, block_factors={1: 0.5, 5: 10.0}, stem_factor=0.25)
    rates = {group.name: group.rate for group in rate_groups(model, section)}
    assert rates["trunk.stem"] == 0.5 * 0.25
    assert rates["trunk.block1"] == 0.5 * 0.5
    assert rates["trunk.block2"] == 0.5
    assert rates["head1.block5"] == 0.5 * 10
    assert rates["head2.block5"] == 4 * 10


def test_lists_and_mappings_say_the_same() -> None:
    assert block_factors([1, 1, 0.1], 3) == block_factors({3: 0.1}, 3) == (1.0, 1.0, 0.1)
    assert block_factors(None, 2) == (1.0, 1.0)


def test_factors_that_do_not_fit_the_network_are_refused() -> None:
    with pytest.raises(UserError, match="has 3 factors; this network has 8 blocks"):
        block_factors([1, 2, 3], 8)
    with pytest.raises(UserError, match="names block 9; this network has blocks 1 to 8"):
        block_factors({9: 1.0}, 8)
    with pytest.raises(UserError, match="names block 0"):
        block_factors({0: 1.0}, 8)


def test_frozen_parameters_are_in_no_group() -> None:
    model = ClassifiedEnsemble(build_ensemble(preset_spec("hdhe", "resnet18"), weights=None), classes=5)
    freeze(frozen_parts(model.network, "B1"))
    names = [group.name for group in rate_groups(model, OptimiserSection())]
    assert not {"trunk.stem", "trunk.block1", "trunk.block2"} & set(names)
    assert "trunk.block3" in names
