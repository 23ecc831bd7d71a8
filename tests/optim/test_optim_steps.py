"""Gradient descent and Adam, step by step, against their formulas."""

import math

import numpy as np
import pytest
from descent_functions import Recorded, quadratic, rosenbrock, start

from nst_manual.optim import Adam, GradientDescent

# (rate, betas, epsilon): the published defaults, and a set in which an epsilon in the wrong place shows
SETTINGS = [(0.05, (0.9, 0.999), 1e-8), (0.2, (0.8, 0.95), 0.3)]


def published_adam(f, x, steps, rate, betas, epsilon):
    """Algorithm 1 of Kingma and Ba, an element at a time."""
    theta = [float(value) for value in x.ravel()]
    m, v = [0.0] * len(theta), [0.0] * len(theta)
    for t in range(1, steps + 1):
        g = f(np.array(theta).reshape(x.shape))[1].ravel()
        for i in range(len(theta)):
            m[i] = betas[0] * m[i] + (1 - betas[0]) * g[i]
            v[i] = betas[1] * v[i] + (1 - betas[1]) * g[i] * g[i]
            m_hat, v_hat = m[i] / (1 - betas[0] ** t), v[i] / (1 - betas[1] ** t)
            theta[i] -= rate * m_hat / (math.sqrt(v_hat) + epsilon)
    return np.array(theta).reshape(x.shape)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("function", [quadratic, rosenbrock])
def test_adam_is_the_published_algorithm(function, settings):
    expected = published_adam(function, start(), 40, *settings)
    found = Adam(*settings).minimize(function, start(), 40).x
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_the_first_step_of_adam_is_its_rate_whatever_the_scale_of_the_loss():
    for scale in (1e-3, 1.0, 1e6):
        found = Adam(0.5).minimize(lambda x, s=scale: (0.0, s * quadratic(x)[1]), start(), 1).x
        np.testing.assert_allclose(found, start() - 0.5 * np.sign(start()), rtol=1e-3)


def test_gradient_descent_is_exact():
    x, f = start(), Recorded(rosenbrock)
    found = GradientDescent(0.001).minimize(f, start(), 30).x
    for point in f.points:
        np.testing.assert_array_equal(point, x)
        x = x - 0.001 * rosenbrock(x)[1]
    np.testing.assert_array_equal(found, x)


def test_gradient_descent_on_a_quadratic_has_a_closed_form():
    a = np.arange(1.0, 13).reshape(start().shape)
    found = GradientDescent(0.05).minimize(quadratic, start(), 20).x
    np.testing.assert_allclose(found, (1 - 0.05 * a) ** 20 * start(), rtol=1e-12)


@pytest.mark.parametrize("optimizer", [Adam(0.1), GradientDescent(0.01)], ids=["adam", "gradient-descent"])
def test_an_iteration_is_one_evaluation(optimizer):
    f = Recorded(quadratic)
    optimizer.minimize(f, start(), 9)
    assert len(f.points) == 9
