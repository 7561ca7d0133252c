"""Networks: backbones seen as stem and groups of blocks, heads, and the ensemble on top of a shared trunk."""

from retrieval.networks.backbones import BACKBONES, prune_until
from retrieval.networks.cost import NetworkCost, cost
from retrieval.networks.ensemble import Ensemble, ParameterBlock, build_ensemble
from retrieval.networks.presets import PRESETS, preset_spec
from retrieval.networks.spec import EnsembleSpec, HeadSpec
from retrieval.networks.spec_dict import spec_from_dict, spec_to_dict

__all__ = [
    "BACKBONES",
    "PRESETS",
    "Ensemble",
    "EnsembleSpec",
    "HeadSpec",
    "NetworkCost",
    "ParameterBlock",
    "build_ensemble",
    "cost",
    "preset_spec",
    "prune_until",
    "spec_from_dict",
    "spec_to_dict",
]
