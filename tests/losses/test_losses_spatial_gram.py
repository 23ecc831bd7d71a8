"""Spatial Gram loss against plain loops, complex steps and PyTorch; small layers."""

from __future__ import annotations

import numpy as np
import pytest
from loss_reference import assert_every_element, assert_value, gradient_of

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import gram as kernel
from nst_manual.losses import StyleLoss, gram
from nst_manual.losses.spatial_gram import SpatialGramLoss, SpatialGramTarget

both_forms = pytest.mark.parametrize("form", ["paper", "mean"])
SHAPES = [(1, 5, 4, 3), (2, 3, 7, 2), (1, 1, 6, 4), (1, 12, 1, 1), (1, 10, 9, 2), (2, 2, 1, 3)]


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def random_target(seed, shifts, channels):
    """A target of random matrices, which are not symmetric."""
    shape = (2, len(shifts), channels, channels)
    return SpatialGramTarget(draw(seed, *shape), np.ones(shape[:2], bool))


def moved_gram(image, down, right):
    """Mean of F_ic F_jd over positions i and those j = i + (down, right), by loops; None without any."""
    height, width, channels = image.shape
    found, positions = np.zeros((channels, channels)), 0
    for h, w in np.ndindex(height, width):
        if h + down < height and w + right < width:
            positions += 1
            for c, d in np.ndindex(channels, channels):
                found[c, d] += image[h, w, c] * image[h + down, w + right, d]
    return found / positions if positions else None


def loss_by_loops(x, target, form, shifts):
    value, channels = 0.0, x.shape[3]
    for image in x:
        sums = []
        for index, d in enumerate(shifts):
            for axis, move in enumerate([(d, 0), (0, d)]):
                g = moved_gram(image, *move)
                if g is not None and target.fits[axis, index]:
                    g = g / (1 if form == "paper" else channels)
                    sums.append(np.sum((g - target.grams[axis, index]) ** 2))
        value += sum(sums) / len(sums) / channels**2 / (4 if form == "paper" else 1)
    return value


@both_forms
@pytest.mark.parametrize("shape", SHAPES)
def test_value_is_that_of_plain_loops(form, shape):
    x, target = draw(0, *shape), random_target(1, (1, 2, 4, 8), shape[3])
    assert_value(SpatialGramLoss(target, 0.6, form), 0.6 * loss_by_loops(x, target, form, (1, 2, 4, 8)), x)


@pytest.mark.parametrize("shifts", [(1,), (3, 0), (2, 2, 5), [1, 9]])
def test_value_for_other_shifts(shifts):
    x, target = draw(0, 1, 6, 7, 2), random_target(1, shifts, 2)
    module = SpatialGramLoss(target, 0.6, "mean", shifts)
    assert_value(module, 0.6 * loss_by_loops(x, target, "mean", shifts), x)


@both_forms
@pytest.mark.parametrize("shape", SHAPES)
def test_every_element_of_the_gradient(form, shape):
    assert_every_element(
        SpatialGramLoss(random_target(1, (1, 2, 4, 8), shape[3]), 1.7, form), draw(2, *shape)
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(1, 5, 7, 2), (2, 5, 3, 2), (1, 3, 3, 3)])
def test_gradcheck(seed, shape):
    target = SpatialGramLoss.target_of(draw(seed, 1, 6, 9, shape[3]), "mean")
    report = gradcheck(SpatialGramLoss(target, 30.0, "mean"), draw(seed + 10, *shape) + 0.5, seed=seed)
    assert report.passed, str(report)


@both_forms
@pytest.mark.parametrize("seed", range(2))
def test_pytorch_agrees(form, seed):
    torch = pytest.importorskip("torch")
    x, target = draw(seed, 2, 6, 9, 4), random_target(seed + 1, (1, 2, 4, 8), 4)
    module = SpatialGramLoss(target, 1.3, form)
    dx = gradient_of(module, x)
    t = torch.tensor(x, requires_grad=True)
    z, terms = 1 if form == "paper" else 4, []
    for axis, side in ((0, 6), (1, 9)):
        for index, d in enumerate((1, 2, 4, 8)):
            if d < side:
                here, there = t.narrow(axis + 1, 0, side - d), t.narrow(axis + 1, d, side - d)
                g = torch.einsum("nhwc,nhwd->ncd", here, there) / (here[0, ..., 0].numel() * z)
                terms.append(((g - torch.tensor(target.grams[axis, index])) ** 2).mean((1, 2)).sum())
    loss = 1.3 / (4 if form == "paper" else 1) * sum(terms) / len(terms)
    loss.backward()
    assert len(terms) == 7
    assert module.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    assert np.linalg.norm(dx - t.grad.numpy()) <= 1e-12 * np.linalg.norm(dx)


@both_forms
def test_target_is_that_of_plain_loops(form):
    x = draw(0, 1, 3, 9, 2)
    grams, fits = SpatialGramLoss.target_of(x, form)
    np.testing.assert_array_equal(fits, [[True, True, False, False], [True] * 4])
    for axis, index in np.ndindex(2, 4):
        expected = moved_gram(x[0], *np.roll([2**index, 0], axis))
        expected = 0 if expected is None else expected / (1 if form == "paper" else 2)
        np.testing.assert_allclose(grams[axis, index], expected, rtol=1e-12, atol=1e-14)


@both_forms
def test_a_shift_of_zero_is_the_style_loss(form):
    x, painting = draw(0, 1, 4, 5, 3), draw(1, 1, 3, 6, 3)
    module = SpatialGramLoss(SpatialGramLoss.target_of(painting, form, (0,)), 1.2, form, (0,))
    style = StyleLoss(gram(painting, form)[0], 1.2, form)
    np.testing.assert_allclose(gradient_of(module, x), gradient_of(style, x), rtol=1e-11, atol=1e-15)
    assert module.loss == pytest.approx(style.loss, rel=1e-12)


@both_forms
def test_its_own_target_costs_nothing_at_any_size(form):
    tile = np.tile(draw(0, 1, 4, 4, 3), (1, 3, 3, 1))
    painting = draw(1, 1, 9, 10, 3)
    module = SpatialGramLoss(SpatialGramLoss.target_of(painting, form), 2.0, form)
    dx = gradient_of(module, painting)
    assert module.loss == 0
    assert not dx.any()
    # rows moved by whole periods: a shift of the period is the same for every size
    module = SpatialGramLoss(SpatialGramLoss.target_of(tile, form, (4, 8)), 2.0, form, (4, 8))
    larger = np.tile(tile, (1, 2, 1, 1))
    assert np.abs(gradient_of(module, larger)).max() < 1e-14
    assert module.loss < 1e-28


def test_it_sees_where_things_are_and_which_way():
    stripes = np.zeros((1, 8, 8, 1))
    stripes[:, ::2] = 1
    module = SpatialGramLoss(SpatialGramLoss.target_of(stripes, shifts=(1,)), shifts=(1,))
    module.update_output(stripes)
    assert module.loss == 0
    module.update_output(stripes.transpose(0, 2, 1, 3))  # stripes the other way
    assert module.loss == pytest.approx(((0.5 - 0) ** 2 + (0 - 0.5) ** 2) / 2 / 4)


def test_a_shift_that_does_not_fit_both_is_left_out():
    painting, x = draw(0, 1, 3, 9, 2), draw(1, 1, 9, 3, 2)
    some = SpatialGramLoss(SpatialGramLoss.target_of(painting))  # down 1 2, right 1 2 4 8
    only = SpatialGramLoss(SpatialGramLoss.target_of(painting, shifts=(1, 2)), shifts=(1, 2))
    dx = gradient_of(some, x)  # down 1 2 4 8, right 1 2
    np.testing.assert_array_equal(dx, gradient_of(only, x))
    assert some.loss == only.loss > 0


def test_where_no_shift_fits_it_is_an_error():
    target = SpatialGramLoss.target_of(draw(0, 1, 9, 9, 2))
    with pytest.raises(ShapeError, match=r"no shift of \(1, 2, 4, 8\) fits.*smaller shifts"):
        SpatialGramLoss(target).update_output(np.zeros((1, 1, 1, 2)))
    tiny = SpatialGramLoss.target_of(draw(0, 1, 1, 1, 2))
    assert not tiny.fits.any()
    with pytest.raises(ShapeError, match="no shift"):
        SpatialGramLoss(tiny).update_output(np.zeros((1, 9, 9, 2)))


def test_two_images_count_as_one_and_one():
    x, target = draw(0, 2, 3, 4, 2), random_target(1, (1, 2, 4, 8), 2)
    both, single = SpatialGramLoss(target), SpatialGramLoss(target)
    dx, losses = gradient_of(both, x), []
    for n in range(2):
        np.testing.assert_allclose(dx[n : n + 1], gradient_of(single, x[n : n + 1]), rtol=1e-12)
        losses.append(single.loss)
    assert both.loss == pytest.approx(sum(losses), rel=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("positions", [1, 9, 1024])
def test_the_rectangular_products_take_parts_of_arrays(dtype, positions, monkeypatch):
    monkeypatch.setattr("nst_manual.kernels.gram.BACKWARD_POSITIONS", positions)
    wide = draw(0, 2, 19, 11, 3).astype(dtype) * (1 if dtype == "float64" else 1 - 2j)
    x, y = wide[:, :17, 2:], draw(1, 2, 17, 18, 4)[:, :, ::2]
    expected = np.einsum("nhwc,nhwd->ncd", x, y)
    np.testing.assert_allclose(kernel.cross(x, y), expected, rtol=1e-12, atol=1e-12)
    w, out = draw(2, 2, 3, 4), np.ones((2, 4, 17, 9), dtype).transpose(0, 2, 3, 1)
    kernel.add_product(x, w, out=out)
    np.testing.assert_allclose(out, 1 + np.einsum("nhwc,ncd->nhwd", x, w), rtol=1e-12, atol=1e-12)


def test_the_gradient_is_added_to_memory_of_any_layout():
    module, x, dy = (
        SpatialGramLoss(random_target(1, (1, 2, 4, 8), 3)),
        draw(0, 1, 5, 4, 3),
        draw(2, 1, 5, 4, 3),
    )
    module.update_output(x)
    expected = module.update_grad_input(x, dy).copy()
    apart = np.full((2, 10, 8, 6), 99.0)[:, ::2, ::-2, ::2][:1]
    apart[...] = dy
    module.add_gradient(x, apart)
    np.testing.assert_allclose(apart, expected, rtol=1e-13, atol=1e-14)


def test_float32_is_right_to_its_precision():
    x = draw(0, 1, 50, 61, 3).astype(np.float32)
    target = SpatialGramLoss.target_of(draw(1, 1, 30, 30, 3).astype(np.float32) + 0.5)
    assert target.grams.dtype == np.float32
    single = SpatialGramLoss(target)
    double = SpatialGramLoss(target._replace(grams=target.grams.astype(float)))
    dx, expected = gradient_of(single, x), gradient_of(double, x.astype(float))
    assert dx.dtype == np.float32
    assert single.loss == pytest.approx(double.loss, rel=1e-5)
    assert np.linalg.norm(dx - expected) <= 1e-5 * np.linalg.norm(expected)


def test_several_paintings_of_which_one_is_small():
    large, small = (
        SpatialGramLoss.target_of(draw(n, 1, *size, 2)) for n, size in enumerate([(9, 9), (9, 3)])
    )
    grams, fits = SpatialGramLoss.blend([large, small], [0.75, 0.25])
    np.testing.assert_array_equal(fits, [[True] * 4, [True, True, False, False]])
    np.testing.assert_allclose(grams[fits], (0.75 * large.grams + 0.25 * small.grams)[fits], rtol=1e-14)


def test_what_does_not_fit_is_refused():
    target = random_target(0, (1, 2), 3)
    with pytest.raises(ShapeError, match=r"expected matrices \(2, 4, C, C\).*got \(2, 2, 3, 3\)"):
        SpatialGramLoss(target)
    module = SpatialGramLoss(target, shifts=(1, 2))
    with pytest.raises(ShapeError, match="expected 3 channels"):
        module.update_output(np.zeros((1, 5, 4, 1)))
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        module.update_output(np.zeros((5, 4, 3)))
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        SpatialGramLoss.target_of(np.zeros((5, 4, 3)))
    with pytest.raises(UsageError, match="did you mean 'paper'"):
        SpatialGramLoss(target, form="papr", shifts=(1, 2))
    for shifts in ((), (1, -2), (0.5,), 3):
        with pytest.raises(UsageError, match="whole numbers of 0 or more"):
            SpatialGramLoss.target_of(np.zeros((1, 5, 4, 3)), shifts=shifts)


def test_state_and_print():
    module, x = SpatialGramLoss(random_target(1, (1, 3), 3), 1.7, shifts=(1, 3)), draw(0, 1, 4, 5, 3)
    expected = gradient_of(module, x)
    assert repr(module) == "SpatialGramLoss(paper, shifts=1,3, weight=1.7)"
    module.clear_state()
    assert module.differences is None
    np.testing.assert_array_equal(gradient_of(module, x), expected)
