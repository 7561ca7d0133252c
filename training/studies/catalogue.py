"""The studies by name. A new one is a function that makes a `Study`, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from retrieval.errors import UserError
from retrieval.networks.backbones import backbone_row
from retrieval.networks.classifiers import classifier_cost
from training.studies import beyond, heads, layers, losses
from training.studies.distillation import (
    activation_overlap,
    compression,
    fast_training,
    overhaul_ablation,
    small_data,
    transfer,
)
from training.studies.distillation.asked import Asked
from training.studies.study import Study

FINE_TUNING_STUDIES: Mapping[str, Callable[[str], Study]] = {
    "pruning": layers.pruning,
    "layer-rates": layers.layer_rates,
    "auto-lr": layers.auto_lr,
    "reduction": heads.reduction,
    "sharing": heads.sharing,
    "diversity": heads.diversity,
    "ensemble": heads.ensemble,
    "losses": losses.losses,
    "beyond": beyond.beyond,
}
"""From a backbone's name, whose number of blocks decides some rows."""

DISTILLATION_STUDIES: Mapping[str, Callable[[Asked], Study]] = {
    "fast-training": fast_training.fast_training,
    "small-data": small_data.small_data,
    "compression": compression.compression,
    "overhaul-ablation": overhaul_ablation.overhaul_ablation,
    "activation-overlap": activation_overlap.activation_overlap,
    "transfer": transfer.transfer,
}

STUDIES = (*FINE_TUNING_STUDIES, *DISTILLATION_STUDIES)


def study_of(
    name: str, backbone: str | None, *, data: str = "", teachers: Mapping[str, str] | None = None
) -> Study:
    """The study for what the user asks. backbone: of fine-tuning, or the student's network. data, teachers: see
    `Asked`. Raises UserError where the study, a network or an option is wrong.
    """
    if name in DISTILLATION_STUDIES:
        if backbone is not None:
            classifier_cost(backbone, 2)  # refuses a name that nothing can be built of
        return DISTILLATION_STUDIES[name](Asked(data, backbone, teachers or {}))
    if name not in FINE_TUNING_STUDIES:
        raise UserError(f"there is no study {name!r}; choose one of {', '.join(STUDIES)}")
    if backbone is None:
        raise UserError(f"study {name} needs --backbone, for example --backbone efficientnet_lite0")
    if teachers:
        raise UserError(f"study {name} fine-tunes and has no teachers; leave out --teacher")
    backbone_row(backbone)
    return FINE_TUNING_STUDIES[name](backbone)
