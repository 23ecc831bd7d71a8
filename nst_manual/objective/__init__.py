"""The function that is minimised."""

from nst_manual.objective.whole import Objective

__all__ = ["Objective"]
