"""Losses on one head's features, each with its authors' settings, behind one table."""

from training.losses.head_loss import HeadLoss
from training.losses.row import LossRow
from training.losses.table import LOSSES, build_loss, check_settings
from training.setting import Setting

__all__ = ["LOSSES", "HeadLoss", "LossRow", "Setting", "build_loss", "check_settings"]
