"""Losses as transparent modules that stand inside the network, and the targets that they compare with."""

from nst_manual.losses.base import LossModule
from nst_manual.losses.capture import capture
from nst_manual.losses.content import ContentLoss
from nst_manual.losses.style import StyleLoss, gram
from nst_manual.losses.total_variation import TotalVariation

__all__ = ["ContentLoss", "LossModule", "StyleLoss", "TotalVariation", "capture", "gram"]
