"""The studies by name. A new one is a function from a backbone's name to a `Study`, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from retrieval.errors import UserError
from retrieval.networks.backbones import backbone_row
from training.studies import beyond, heads, layers, losses
from training.studies.study import Study

STUDIES: Mapping[str, Callable[[str], Study]] = {
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


def study_of(name: str, backbone: str) -> Study:
    """The study on a backbone, whose number of blocks decides some rows. Raises UserError where either is unknown."""
    if name not in STUDIES:
        raise UserError(f"there is no study {name!r}; choose one of {', '.join(STUDIES)}")
    backbone_row(backbone)
    return STUDIES[name](backbone)
