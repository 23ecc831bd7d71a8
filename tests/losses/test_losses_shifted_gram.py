"""Shifted Gram loss against plain loops, complex steps, PyTorch, and the style loss of shifted features."""

from __future__ import annotations

import numpy as np
import pytest
from loss_reference import assert_every_element, assert_value, gradient_of, gram_sums

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import gram as kernel
from nst_manual.losses import StyleLoss, gram
from nst_manual.losses.shifted_gram import ShiftedGramLoss

both_forms = pytest.mark.parametrize("form", ["paper", "mean"])
shifts = pytest.mark.parametrize("shift", [-1.0, 0.0, 0.75, 20.0])
SHAPES = [(1, 5, 4, 3), (2, 3, 7, 2), (1, 1, 6, 4), (1, 1, 1, 1), (3, 2, 2, 5)]


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def loss_by_loops(x, a, form, shift):
    value, (_, height, width, channels) = 0.0, x.shape
    z = height * width * (1 if form == "paper" else channels)
    for image in x:
        moved = image.copy()
        for index in np.ndindex(image.shape):
            moved[index] += shift
        s = gram_sums(moved)
        for index in np.ndindex(s.shape):
            value += (s[index] / z - a[index]) ** 2 / channels**2 / (4 if form == "paper" else 1)
    return value


@both_forms
@shifts
@pytest.mark.parametrize("shape", SHAPES)
def test_value_is_that_of_plain_loops(form, shift, shape):
    x, a = draw(0, *shape), draw(1, shape[3], shape[3])
    assert_value(ShiftedGramLoss(a, 0.6, form, shift), 0.6 * loss_by_loops(x, a, form, shift), x)


@both_forms
def test_the_default_shift_is_minus_one(form):
    x, a = draw(0, 1, 5, 4, 3), draw(1, 3, 3)
    assert_value(ShiftedGramLoss(a, 0.6, form), 0.6 * loss_by_loops(x, a, form, -1), x)
    np.testing.assert_allclose(ShiftedGramLoss.target_of(x), gram_sums(x[0] - 1) / 20, rtol=1e-12)


def test_silent_channels_count_by_hand():
    # behind a ReLU, s = -1: both silent 1, one active at 3 1 - 3, both 4; without a shift one product of 9
    x = np.array([[0.0, 0], [3, 0], [3, 3], [0, 0]]).reshape(1, 2, 2, 2)
    np.testing.assert_array_equal(ShiftedGramLoss.target_of(x) * 4, [[10, 4], [4, 7]])


@both_forms
@shifts
@pytest.mark.parametrize("shape", SHAPES)
def test_every_element_of_the_gradient(form, shift, shape):
    # the target is not symmetric: F (D + D^T), not 2 F D
    assert_every_element(ShiftedGramLoss(draw(1, shape[3], shape[3]), 1.7, form, shift), draw(2, *shape))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(1, 5, 7, 3), (2, 9, 4, 4), (1, 3, 3, 2)])
def test_gradcheck(seed, shape):
    module = ShiftedGramLoss(ShiftedGramLoss.target_of(draw(seed, 1, 6, 5, shape[3]), "mean"), 30.0, "mean")
    report = gradcheck(module, draw(seed + 10, *shape) + 1, seed=seed)
    assert report.passed, str(report)


@both_forms
@shifts
def test_pytorch_agrees(form, shift):
    torch = pytest.importorskip("torch")
    x, a = draw(3, 2, 6, 7, 4), draw(4, 4, 4)
    module = ShiftedGramLoss(a, 1.3, form, shift)
    dx = gradient_of(module, x)
    t = torch.tensor(x, requires_grad=True)
    f = (t + shift).reshape(2, -1, 4)
    g = f.transpose(1, 2) @ f / (42 * (1 if form == "paper" else 4))
    loss = 1.3 / (4 if form == "paper" else 1) * ((g - torch.tensor(a)) ** 2).mean((1, 2)).sum()
    loss.backward()
    assert module.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    assert np.linalg.norm(dx - t.grad.numpy()) <= 1e-12 * np.linalg.norm(dx)


@both_forms
@shifts
def test_it_is_the_style_loss_of_shifted_features(form, shift):
    x, a = draw(0, 1, 4, 5, 3), draw(1, 3, 3)
    module, style = ShiftedGramLoss(a, 1.2, form, shift), StyleLoss(a, 1.2, form)
    dx = gradient_of(module, x)
    np.testing.assert_allclose(dx, gradient_of(style, x + shift), rtol=1e-12, atol=1e-14)
    assert module.loss == pytest.approx(style.loss, rel=1e-13)
    if shift == 0:
        np.testing.assert_array_equal(ShiftedGramLoss.target_of(x, form, 0), gram(x, form)[0])


@both_forms
def test_its_own_target_costs_nothing_at_any_size(form):
    painting = draw(0, 1, 4, 5, 3)
    module = ShiftedGramLoss(ShiftedGramLoss.target_of(painting, form), 2.0, form)
    dx = gradient_of(module, painting)
    assert module.loss == 0
    assert not dx.any()
    twice = np.concatenate([painting, painting], axis=1)
    assert np.abs(gradient_of(module, twice)).max() < 1e-14
    assert module.loss < 1e-28


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_kernel_takes_a_shift_for_each_image_and_channel(dtype):
    x, shift, ds = (
        draw(seed, *shape).astype(dtype) for seed, shape in enumerate([(2, 5, 4, 3), (2, 3), (2, 3, 3)])
    )
    if dtype == "complex128":
        x, shift = x * (1 + 2j), shift * (2 - 1j)
    moved = x - shift[:, None, None]
    np.testing.assert_allclose(kernel.forward(x, shift), kernel.forward(moved), rtol=1e-13, atol=1e-13)
    expected = kernel.input_gradient(moved, ds)
    np.testing.assert_allclose(kernel.input_gradient(x, ds, shift), expected, rtol=1e-13, atol=1e-13)
    out = np.ones((2, 5, 3, 4), dtype).transpose(0, 1, 3, 2)
    kernel.input_gradient(x, ds, shift, out=out, add=True)
    np.testing.assert_allclose(out, 1 + expected, rtol=1e-13, atol=1e-13)


def test_float32_is_right_to_its_precision():
    x, a = draw(0, 1, 90, 110, 3).astype(np.float32), draw(1, 3, 3).astype(np.float32)
    single, double = ShiftedGramLoss(a), ShiftedGramLoss(a.astype(float))
    dx, expected = gradient_of(single, x), gradient_of(double, x.astype(float))
    assert ShiftedGramLoss.target_of(x).dtype == dx.dtype == np.float32
    assert single.loss == pytest.approx(double.loss, rel=1e-5)
    assert np.linalg.norm(dx - expected) <= 1e-5 * np.linalg.norm(expected)


def test_several_paintings():
    targets = [ShiftedGramLoss.target_of(draw(seed, 1, 4, 5 + seed, 3)) for seed in range(2)]
    blended = ShiftedGramLoss.blend(targets, [0.75, 0.25])
    np.testing.assert_allclose(blended, 0.75 * targets[0] + 0.25 * targets[1], rtol=1e-14)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="expected 3 channels"):
        ShiftedGramLoss(np.zeros((3, 3))).update_output(np.zeros((1, 5, 4, 1)))
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        ShiftedGramLoss(np.zeros((3, 3))).update_output(np.zeros((5, 4, 3)))
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        ShiftedGramLoss.target_of(np.zeros((5, 4, 3)))
    with pytest.raises(ShapeError, match=r"expected \(C, C\)"):
        ShiftedGramLoss(np.zeros((3, 2)))
    with pytest.raises(UsageError, match="did you mean 'paper'"):
        ShiftedGramLoss(np.zeros((3, 3)), form="papr")
    for shift in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match="finite"):
            ShiftedGramLoss(np.zeros((3, 3)), shift=shift)
        with pytest.raises(UsageError, match="finite"):
            ShiftedGramLoss.target_of(np.zeros((1, 2, 2, 3)), shift=shift)


def test_state_and_print():
    module, x = ShiftedGramLoss(draw(1, 3, 3), 1.7), draw(0, 1, 4, 5, 3)
    expected = gradient_of(module, x)
    assert repr(module) == "ShiftedGramLoss(paper, shift=-1, weight=1.7)"
    module.clear_state()
    assert module.difference is None
    np.testing.assert_array_equal(gradient_of(module, x), expected)
