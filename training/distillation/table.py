"""The table of methods: what a recipe can name as a term."""

from __future__ import annotations

from collections.abc import Mapping

from training.distillation.feature_methods import FEATURE_METHODS
from training.distillation.jacobian_methods import JACOBIAN_METHODS
from training.distillation.output_methods import OUTPUT_METHODS
from training.distillation.relation_methods import RELATION_METHODS
from training.distillation.term import MethodRow

METHODS: Mapping[str, MethodRow] = {
    row.name: row for row in (*FEATURE_METHODS, *JACOBIAN_METHODS, *OUTPUT_METHODS, *RELATION_METHODS)
}
