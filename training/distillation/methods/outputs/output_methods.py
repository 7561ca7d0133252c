"""The methods that compare what classifiers say: rows of the table of methods."""

from __future__ import annotations

from training.distillation.methods.outputs.bss import build_bss
from training.distillation.methods.outputs.dist import build_dist
from training.distillation.methods.outputs.dtl import build_dtl
from training.distillation.methods.outputs.kd import build_kd
from training.distillation.methods.term import MethodRow
from training.setting import Setting

OUTPUT_METHODS: tuple[MethodRow, ...] = (
    MethodRow(
        "kd",
        "Hinton et al. 2015; T = 3 without T^2 and without the labels' loss as in Heo et al. (AB, AAAI 2019), authors' "
        "code (others: T = 4 squared, weight 0.9 beside 0.1; Sun et al., CVPR 2024: standardise, T = 2 squared, "
        "weight 9 beside 0.1)",
        build_kd,
        weight=1.0,
        stage="train",
        needs=("logits",),
        settings={
            "temperature": Setting(3.0, above=0),
            "squared": Setting(False),
            "standardise": Setting(False),
        },
    ),
    MethodRow(
        "dist",
        "Huang et al., NeurIPS 2022; authors' code (ImageNet)",
        build_dist,
        weight=1.0,
        stage="train",
        needs=("logits",),
        settings={
            "beta": Setting(1.0, least=0),
            "gamma": Setting(1.0, least=0),
            "temperature": Setting(1.0, above=0),
        },
    ),
    MethodRow(
        "dtl",
        "Heo et al. (AB), AAAI 2019; authors' code, whose two GPUs make it 20",
        build_dtl,
        weight=10.0,
        stage="both",
        needs=("teacher_logits",),
    ),
    MethodRow(
        "bss",
        "Heo et al. (BSS), AAAI 2019; authors' code, whose schedules go by whole epochs",
        build_bss,
        weight=1.0,
        stage="train",
        needs=("logits", "own_norms"),
        settings={
            "temperature": Setting(3.0, above=0),
            "alpha_start": Setting(4.0, least=0),
            "alpha_end": Setting(1.0, least=0),
            "beta_start": Setting(2.0, least=0),
            "beta_until": Setting(0.75, above=0),
            "samples": Setting(64, least=1),
            "steps": Setting(10, least=1),
            "rate": Setting(0.3, above=0),
            "bound": Setting(2.5, above=0),
        },
    ),
)
