"""Values with noise: the gradient is judged by what the noise lets one see, and by no less."""

import numpy as np
import pytest

from nst_manual.check import gradcheck
from nst_manual.check.derivatives import central_slope, step_size
from nst_manual.check.noise import LARGEST, balanced_step, judged_with_noise, noise_of
from nst_manual.check.report import judged

RNG = np.random.default_rng
SHAPES = [(2, 5, 4, 3), (1, 30, 30, 3)]  # each element, and directions


class Rounded:
    """exp(x) of which forward gives some decimals alone, and a gradient wrong by a factor."""

    def __init__(self, decimals=None, factor=1.0, dtype="float64"):
        self.decimals, self.factor, self.dtype, self.loss = decimals, factor, dtype, 0.0

    def forward(self, x):
        # a complex step has no slope left
        y = np.exp(x.real)
        return y if self.decimals is None else np.round(y, self.decimals)

    def backward(self, x, dy):
        dx = self.factor * np.exp(x) * dy
        return dx.astype(self.dtype).astype(float)


class Imprecise(Rounded):
    """Takes complex numbers, and has noise in the slope of a complex step."""

    def forward(self, x):
        y = np.exp(x)
        return y * (1 + 1e-8 * np.sin(1e13 * x.real))


def x_of(shape, seed=0):
    return RNG(seed).standard_normal(shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("decimals", [9, 7])
def test_a_right_gradient_of_a_rounded_value_passes_and_a_wrong_one_does_not(shape, decimals):
    report = gradcheck(Rounded(decimals), x_of(shape))
    assert report.passed, str(report)
    assert 1e-6 <= report.checks[0].bound < LARGEST
    assert ("the value has noise" in report.checks[0].note) == (report.checks[0].bound > 1e-6)
    for factor in (1.001, 0.9998):
        wrong = gradcheck(Rounded(decimals, factor), x_of(shape))
        assert not wrong.checks[0].passed, str(wrong)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [1.0, 1.001, 2.0])
def test_what_noise_hides_is_not_judged(shape, factor):
    check = gradcheck(Rounded(2, factor), x_of(shape)).checks[0]
    assert not check.passed
    assert "cannot be judged" in check.cause
    assert "noise" in check.cause


@pytest.mark.parametrize("shape", SHAPES)
def test_a_value_without_noise_has_the_bound_and_the_error_that_it_had(shape):
    x = x_of(shape)
    check = gradcheck(Rounded(), x).checks[0]
    assert (check.passed, check.bound, check.note) == (True, 1e-6, "")
    wrong = gradcheck(Rounded(factor=1 + 1e-5), x).checks[0]
    assert (wrong.passed, wrong.bound, wrong.note) == (False, 1e-6, "")


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_of_a_complex_step(shape):
    x = x_of(shape)
    check = gradcheck(Imprecise(), x).checks[0]
    assert "complex step" in check.method
    assert check.passed, str(check)
    assert 1e-9 < check.bound < 1e-6
    assert "noise" in check.note
    assert not gradcheck(Imprecise(factor=1 + 1e-5), x).checks[0].passed


@pytest.mark.parametrize("shape", SHAPES)
def test_a_backward_pass_in_float32_is_not_excused_by_its_own_rounding(shape):
    class Exact(Rounded):
        def forward(self, x):
            return np.exp(x)

    check = gradcheck(Exact(dtype="float32"), x_of(shape)).checks[0]
    assert (check.passed, check.bound, check.note) == (False, 1e-11, "")


@pytest.mark.parametrize("noise", [1e-4, 1e-8, 1e-11])
def test_the_noise_of_a_number_is_found(noise):
    random = RNG(1)
    x, direction = x_of((40,)), x_of((40,), 2)
    found = [
        noise_of(lambda x: np.sum(x**3) + noise * random.standard_normal(), x, direction) for _ in range(20)
    ]
    assert np.median(found) == pytest.approx(noise, rel=0.35)


def test_rounding_is_all_that_is_found_in_a_smooth_number():
    x, direction = x_of((40,)), x_of((40,), 2)
    assert noise_of(lambda x: np.sum(np.exp(x)), x, direction) <= 1e-13
    assert noise_of(lambda x: 3.0, x, direction) == 0
    assert noise_of(lambda x: np.nan, x, direction) == np.inf


def test_the_step_grows_with_the_noise_and_is_the_usual_one_without():
    x, direction = x_of((40,)), x_of((40,), 2)
    random, steps = RNG(3), []
    for noise in (0.0, 1e-9, 1e-6):

        def f(x, noise=noise):
            return float(np.sum(np.sin(x))) + noise * random.standard_normal()

        h, disturbed = balanced_step(f, x, direction, noise)
        steps.append(h)
        largest = np.abs(direction).max()
        right = np.vdot(np.cos(x), direction)
        assert abs(central_slope(f, x, direction, h) - right) <= 5 * disturbed * largest + 1e-9
    assert steps[0] <= 500 * step_size(x) < steps[1] < steps[2]


def test_a_bound_is_never_beyond_what_may_hide_a_mistake():
    check = judged("it", "so", 1e-5, 1e-6)
    assert judged_with_noise(check, 1e-9, "noise") is check
    passed = judged_with_noise(check, 4e-6, "noise")
    assert passed.passed
    assert passed.bound == pytest.approx(2.1e-5)
    for noise in (1e-4, np.inf, np.nan):
        assert not judged_with_noise(judged("it", "so", 1e-9, 1e-6), noise, "noise").passed
