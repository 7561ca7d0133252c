"""The kinds of recipe that a study can be made of, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.studies.distillation.kind import DISTILLATION
from training.studies.fine_tuning import FINE_TUNING
from training.studies.kind import Kind
from training.studies.study import KindName

KINDS: Mapping[KindName, Kind[Any]] = {"fine-tuning": FINE_TUNING, "distillation": DISTILLATION}
