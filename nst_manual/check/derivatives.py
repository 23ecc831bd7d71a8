"""Derivatives by other means than a backward pass: complex step and central differences.

All of them look at f(x) = sum(forward(x) * dy) + loss, whose gradient a backward pass with the upstream
gradient dy claims to return. The complex step,

    df/dx_i = Im f(x + i h e_i) / h,   h = 1e-30        exact to rounding; forward has to be analytic

has no difference of nearby numbers in it, and so no step size to choose (J. Lyness, C. Moler, "Numerical
differentiation of analytic functions", SIAM J. Numer. Anal. 4, 1967). Central differences,

    df/dx_i = (f(x + h e_i) - f(x - h e_i)) / 2h,   h = cbrt(eps) scale    to some nine digits

work with everything that can be evaluated; a value with noise asks for a larger h (`nst_manual.check.noise`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

COMPLEX_STEP = 1e-30
Function = Callable[[np.ndarray], Any]  # array -> number


def complex_gradient(f: Function, x: np.ndarray) -> np.ndarray:
    """Return the gradient of f at x, element by element, by complex step; x.size evaluations."""
    gradient = np.zeros(x.shape)
    moved = x.astype(complex)
    for index in np.ndindex(x.shape):
        moved[index] += 1j * COMPLEX_STEP
        gradient[index] = np.imag(f(moved)) / COMPLEX_STEP
        moved[index] = x[index]
    return gradient


def complex_slope(f: Function, x: np.ndarray, direction: np.ndarray) -> float:
    """Return the derivative of f at x along a direction, by complex step; one evaluation."""
    return float(np.imag(f(x + 1j * COMPLEX_STEP * direction)) / COMPLEX_STEP)


def step_size(x: np.ndarray, dtype: str = "float64") -> float:
    """Return a step for central differences at x: the cube root of a type's eps, relative to x."""
    scale = float(np.max(np.abs(x), initial=0.0)) or 1.0
    return float(np.cbrt(np.finfo(dtype).eps)) * scale


def central_gradient(f: Function, x: np.ndarray, h: float | None = None) -> np.ndarray:
    """Return the gradient of f at x, element by element, by central differences; 2 x.size evaluations."""
    right, left = one_sided_gradients(f, x, step_size(x) if h is None else h)
    return (right + left) / 2


def one_sided_gradients(f: Function, x: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes of f to the right and to the left of x, element by element."""
    here = np.real(f(x))
    right, left = np.zeros(x.shape), np.zeros(x.shape)
    moved = x.copy()
    for index in np.ndindex(x.shape):
        moved[index] = x[index] + h
        right[index] = (np.real(f(moved)) - here) / h
        moved[index] = x[index] - h
        left[index] = (here - np.real(f(moved))) / h
        moved[index] = x[index]
    return right, left


def central_slope(f: Function, x: np.ndarray, direction: np.ndarray, h: float | None = None) -> float:
    """Return the derivative of f at x along a direction, by central differences of two step sizes.

    Richardson's extrapolation, (4 D(h / 2) - D(h)) / 3, takes out the error of order h^2.
    """
    size = float(np.max(np.abs(direction), initial=0.0)) or 1.0
    h = (step_size(x) * 20 if h is None else h) / size

    def difference(h: float) -> float:
        return float((np.real(f(x + h * direction)) - np.real(f(x - h * direction))) / (2 * h))

    return (4 * difference(h / 2) - difference(h)) / 3
