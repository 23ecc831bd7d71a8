"""Is it right: the same computations by other means. The only part of the package that may use autodiff.

>>> from nst_manual.check import gradcheck
>>> report = gradcheck(module, x)          # anything with forward(x) and backward(x, dy)  # doctest: +SKIP
>>> print(report)                                                                          # doctest: +SKIP
"""

from nst_manual.check.diagnosis import likely_cause, relative_error, where
from nst_manual.check.gradcheck import gradcheck
from nst_manual.check.kinks import census
from nst_manual.check.report import Check, Report

__all__ = ["Check", "Report", "census", "gradcheck", "likely_cause", "relative_error", "where"]
