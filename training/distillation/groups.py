"""Which of a student's parameters learn, and at which rate."""

from __future__ import annotations

from torch import nn

from retrieval.networks import Ensemble
from training.distillation.distiller import Distiller
from training.distillation.recipe import DistillationRecipe
from training.distillation.sides import Network
from training.freezing import freeze, frozen_parts, norms
from training.layer_rates import RateGroup, rate_groups
from training.learner import Learner
from training.sections.network import NetworkSection
from training.sections.optimiser import OptimiserSection


def rate_groups_of(model: Distiller, optimiser: OptimiserSection) -> list[RateGroup]:
    """A student that embeds has the groups of fine-tuning; a classifier learns at `lr`, and its last layer, like all
    that is thrown away afterwards, at `classifier_lr`. What a term learns beforehand is a group of its own.
    """
    network = model.student.network
    if isinstance(network, Ensemble):
        assert model.objective is not None
        groups = rate_groups(Learner(network, model.objective), optimiser)
    else:
        last = {id(parameter) for parameter in network.classifier.parameters()}
        below = tuple(p for p in network.parameters() if id(p) not in last)
        groups = [
            RateGroup("student", optimiser.lr, below),
            RateGroup("classifier", optimiser.classifier_lr, tuple(network.classifier.parameters())),
        ]
    early = [p for each in model.weighted for p in each.term.preparation_parameters()]
    known = {id(parameter) for parameter in early}
    terms = tuple(p for p in model.terms.parameters() if id(p) not in known)
    groups += [
        RateGroup("terms", optimiser.classifier_lr, terms),
        RateGroup("preparation", optimiser.classifier_lr, tuple(early)),
    ]
    return [group for group in groups if group.parameters]


def freeze_student(recipe: DistillationRecipe, network: Network) -> list[nn.Module]:
    """Stop what the recipe freezes from learning. Returns the parts that `hold` must follow every call of train()."""
    section = recipe.student
    if not isinstance(section, NetworkSection) or not isinstance(network, Ensemble):
        return []
    frozen = frozen_parts(network, section.freeze_until)
    freeze(frozen)
    return [*frozen, *(norms(network) if section.freeze_norms else ())]
