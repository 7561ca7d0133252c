"""Networks: backbones seen as stem and groups of blocks, heads, and the ensemble on top of a shared trunk."""

from retrieval.networks.backbones import BACKBONES, backbone_row
from retrieval.networks.classifiers import (
    CLASSIFIERS,
    ClassificationNetwork,
    ClassifierCost,
    build_classifier,
    classifier_cost,
)
from retrieval.networks.cost import NetworkCost, cost
from retrieval.networks.ensemble import Ensemble, ParameterBlock, build_ensemble
from retrieval.networks.presets import PRESETS, preset_spec
from retrieval.networks.pruning import pruned_spec
from retrieval.networks.spec import EnsembleSpec, HeadSpec
from retrieval.networks.spec_check import check_spec
from retrieval.networks.spec_dict import spec_from_dict, spec_to_dict

__all__ = [
    "BACKBONES",
    "CLASSIFIERS",
    "PRESETS",
    "ClassificationNetwork",
    "ClassifierCost",
    "Ensemble",
    "EnsembleSpec",
    "HeadSpec",
    "NetworkCost",
    "ParameterBlock",
    "backbone_row",
    "build_classifier",
    "build_ensemble",
    "check_spec",
    "classifier_cost",
    "cost",
    "preset_spec",
    "pruned_spec",
    "spec_from_dict",
    "spec_to_dict",
]
