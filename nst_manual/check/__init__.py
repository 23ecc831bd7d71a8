"""Is it right: the same computations by other means. The only part of the package that may use autodiff.

    >>> from nst_manual.check import gradcheck
    >>> report = gradcheck(module, x)      # anything with forward(x) and backward(x, dy)  # doctest: +SKIP
    >>> print(report)                                                                      # doctest: +SKIP

The methods by themselves: `adjoint_identity`, `complex_gradient`, `complex_slope`, `central_gradient`,
`central_slope`, `census` (of kinks); what they are judged by: `relative_error`, `where`, `likely_cause`.
"""

from nst_manual.check.adjoint import adjoint_identity
from nst_manual.check.derivatives import central_gradient, central_slope, complex_gradient, complex_slope
from nst_manual.check.diagnosis import likely_cause, relative_error, where
from nst_manual.check.gradcheck import gradcheck
from nst_manual.check.kinks import census
from nst_manual.check.report import Check, Report

__all__ = [
    "Check",
    "Report",
    "adjoint_identity",
    "census",
    "central_gradient",
    "central_slope",
    "complex_gradient",
    "complex_slope",
    "gradcheck",
    "likely_cause",
    "relative_error",
    "where",
]
