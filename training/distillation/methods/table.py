"""The table of methods: what a recipe can name as a term."""

from __future__ import annotations

from collections.abc import Mapping

from training.distillation.methods.features.feature_methods import FEATURE_METHODS
from training.distillation.methods.gradients.jacobian_methods import JACOBIAN_METHODS
from training.distillation.methods.outputs.output_methods import OUTPUT_METHODS
from training.distillation.methods.relations.relation_methods import RELATION_METHODS
from training.distillation.methods.term import MethodRow

METHODS: Mapping[str, MethodRow] = {
    row.name: row for row in (*FEATURE_METHODS, *JACOBIAN_METHODS, *OUTPUT_METHODS, *RELATION_METHODS)
}
