"""Total variation against plain loops, and its convention at differences of zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_reference import assert_every_element, assert_value, gradient_of, tv_absolute, tv_squared

from nst_manual.check import gradcheck
from nst_manual.errors import UsageError
from nst_manual.losses import TotalVariation

EPS = 1e-4  # of the isotropic form, squared units


def tv_isotropic(x):
    """The length of the two differences, over the pixels that have a neighbour below and one on the right."""
    value = 0.0
    for n, h, w, c in np.ndindex(x.shape):
        if h + 1 < x.shape[1] and w + 1 < x.shape[2]:
            d, e = x[n, h + 1, w, c] - x[n, h, w, c], x[n, h, w + 1, c] - x[n, h, w, c]
            value += np.sqrt(d**2 + e**2 + EPS)
    return value


def tv_nine_point(x):
    """Squared differences to the right, below, and along both diagonals of the image with repeated edges."""
    n_images, height, width, channels = x.shape
    value = 0.0

    def pixel(n, h, w, c):
        return x[n, min(max(h, 0), height - 1), min(max(w, 0), width - 1), c]

    for n, h, w, c in np.ndindex(x.shape):
        for below in ((h, w + 1), (h + 1, w)):
            value += 2 * (pixel(n, *below, c) - x[n, h, w, c]) ** 2 / 3 / x.size
    squares = n_images * (height + 1) * (width + 1) * channels  # of four pixels each
    for n, h, w, c in np.ndindex(n_images, height + 1, width + 1, channels):
        for one, other in (((h, w), (h - 1, w - 1)), ((h, w - 1), (h - 1, w))):
            value += 2 * (pixel(n, *one, c) - pixel(n, *other, c)) ** 2 / 12 / squares
    return value


FORMS = {
    "absolute": tv_absolute,
    "squared": tv_squared,
    "isotropic": tv_isotropic,
    "nine-point": tv_nine_point,
}
every_form = pytest.mark.parametrize("form", FORMS)
both_forms = pytest.mark.parametrize("form", ["absolute", "squared"])
shapes = st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))


@every_form
@given(shapes, st.integers(0, 99))
def test_value_is_that_of_plain_loops(form, shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape)
    assert_value(TotalVariation(0.6, form), 0.6 * FORMS[form](x), x)


@given(shapes, st.integers(0, 99))
def test_the_slope_of_an_absolute_value_at_zero_is_zero(shape, seed):
    x = (
        np.random.default_rng(seed).integers(0, 2, shape).astype(float)
    )  # about half of the neighbours are equal
    expected = np.zeros(shape)
    for n, h, w, c in np.ndindex(shape):
        for below, right in ((h + 1, w), (h, w + 1)):
            if below < shape[1] and right < shape[2]:
                pull = np.sign(x[n, below, right, c] - x[n, h, w, c])
                expected[n, below, right, c] += pull
                expected[n, h, w, c] -= pull
    np.testing.assert_array_equal(gradient_of(TotalVariation(), x), expected)


def test_a_complex_step_agrees_with_that_convention():
    x = np.random.default_rng(0).integers(0, 2, (1, 4, 5, 2)).astype(float)
    assert_every_element(TotalVariation(0.7, "absolute"), x)


@pytest.mark.parametrize("form", ["absolute", "squared", "nine-point"])
def test_a_plain_surface_costs_nothing(form):
    x = np.full((1, 4, 5, 3), 77.0)
    module = TotalVariation(form=form)
    assert not gradient_of(module, x).any()
    assert module.loss == 0


def test_a_spike_in_each_corner_by_hand():
    # absolute: every corner has two neighbours; squared: last row and column have no differences of their own
    for corner, squared in [((0, 0), 1.0), ((0, -1), 0.5), ((-1, 0), 0.5), ((-1, -1), 0.0)]:
        x = np.zeros((1, 3, 4, 1))
        x[0, corner[0], corner[1], 0] = 1
        for form, loss in [("absolute", 2.0), ("squared", squared)]:
            module = TotalVariation(form=form)
            module.update_output(x)
            assert module.loss == loss, (corner, form)


def test_one_row_and_one_column():
    for shape in [(1, 1, 3, 1), (1, 3, 1, 1)]:
        x = np.array([0.0, 2, 7]).reshape(shape)
        absolute, squared = TotalVariation(), TotalVariation(form="squared")
        np.testing.assert_array_equal(gradient_of(absolute, x).ravel(), [-1, 0, 1])
        assert absolute.loss == 7
        # no pixel has both neighbours
        assert not gradient_of(squared, x).any()
        assert squared.loss == 0


@every_form
@pytest.mark.parametrize("seed", range(3))
def test_gradient(form, seed):
    x = np.random.default_rng(seed).standard_normal((1, 4 + seed, 7, 3))
    report = gradcheck(TotalVariation(1.7, form), x, seed=seed)
    assert report.passed, report


def test_isotropic_gradient_in_a_flat_picture_and_with_few_values():
    x = (
        np.random.default_rng(0).integers(0, 2, (2, 5, 6, 2)).astype(float)
    )  # a quarter of the pixels are flat
    assert_every_element(TotalVariation(0.7, "isotropic"), x)
    module = TotalVariation(0.7, "isotropic")
    assert not gradient_of(module, np.full((1, 4, 5, 3), 77.0)).any()
    assert module.loss == pytest.approx(0.7 * 3 * 4 * 3 * EPS**0.5, rel=1e-12)


def test_pytorch_computes_the_isotropic_form_alike():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(2).standard_normal((1, 6, 9, 3))
    leaf = torch.tensor(x).requires_grad_()
    inner = leaf[:, :-1, :-1]
    loss = 1.7 * torch.sqrt((leaf[:, 1:, :-1] - inner) ** 2 + (leaf[:, :-1, 1:] - inner) ** 2 + EPS).sum()
    loss.backward()
    module = TotalVariation(1.7, "isotropic")
    np.testing.assert_allclose(gradient_of(module, x), leaf.grad.numpy(), rtol=0, atol=1e-13)
    assert module.loss == pytest.approx(loss.item(), rel=1e-13)


def test_a_slanting_edge_costs_its_length():
    rows, columns = np.mgrid[:257, :257]
    edges = {
        "upright": columns - 128,
        "slanting": (rows - columns) / 2**0.5,
    }  # distance from the edge, pixels

    def ratio(form):
        # soft edges: the differences of a hard slanting one lie at two pixels or at one, by its side
        losses = {
            name: TotalVariation(form=form).measure(255 * np.clip(0.5 + d / 12, 0, 1)[None, ..., None])
            for name, d in edges.items()
        }
        return losses["slanting"] / losses["upright"]

    # the diagonal is sqrt(2) as long; along the axes its two differences are another sqrt(2) together
    assert ratio("isotropic") == pytest.approx(2**0.5, rel=0.03)
    assert ratio("absolute") == pytest.approx(2, rel=0.03)


def test_the_isotropic_form_of_one_row_and_in_float32():
    module = TotalVariation(form="isotropic")
    for shape in [(1, 1, 3, 1), (1, 3, 1, 1), (1, 1, 1, 1)]:
        assert not gradient_of(module, np.arange(shape[1] * shape[2]).astype(float).reshape(shape)).any()
        assert module.loss == 0
    x = np.random.default_rng(0).uniform(0, 255, (1, 9, 8, 3)).astype(np.float32)
    expected = gradient_of(module, x.astype(float))
    loss = module.loss
    dx = gradient_of(module, x)
    assert dx.dtype == np.float32
    assert module.loss == pytest.approx(loss, rel=1e-6)
    assert np.linalg.norm(dx - expected) <= 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    "shape", [(1, 6, 9, 3), (2, 5, 4, 1), (1, 1, 7, 3), (1, 7, 1, 3), (1, 1, 1, 3), (1, 2, 2, 3)]
)
def test_pytorch_computes_the_nine_point_form_alike(shape):
    torch = pytest.importorskip("torch")
    from torch_compare import from_torch, to_torch

    x = np.random.default_rng(3).standard_normal(shape)
    leaf = to_torch(x)  # (N, C, H, W)
    p = torch.nn.functional.pad(leaf, (1, 1, 1, 1), mode="replicate")
    right = p[..., 1:-1, 2:] - p[..., 1:-1, 1:-1]
    down = p[..., 2:, 1:-1] - p[..., 1:-1, 1:-1]
    slash, backslash = p[..., 1:, :-1] - p[..., :-1, 1:], p[..., 1:, 1:] - p[..., :-1, :-1]
    terms = ((right, 3), (down, 3), (backslash, 12), (slash, 12))
    loss = 1.7 * 2 * sum((difference**2).mean() / divisor for difference, divisor in terms)
    loss.backward()
    module = TotalVariation(1.7, "nine-point")
    np.testing.assert_allclose(gradient_of(module, x), from_torch(leaf.grad), rtol=0, atol=1e-12)
    assert module.loss == pytest.approx(loss.item(), rel=1e-12)


@pytest.mark.parametrize("shape", [(2, 4, 5, 2), (1, 1, 4, 2), (1, 4, 1, 2), (1, 2, 2, 1)])
def test_nine_point_gradient_of_every_element(shape):
    assert_every_element(TotalVariation(0.7, "nine-point"), np.random.default_rng(4).standard_normal(shape))


def test_the_nine_point_form_is_the_mean_squared_slope_of_a_ramp():
    rows, columns = np.mgrid[:400, :400]
    ramp = (0.3 * rows - 0.4 * columns)[None, ..., None]
    # half of what lies beyond the edges is missing, 1 part in 400
    assert TotalVariation(form="nine-point").measure(ramp) == pytest.approx(0.25, rel=0.01)


def test_the_nine_point_form_in_float32():
    x = np.random.default_rng(0).uniform(0, 255, (1, 9, 8, 3)).astype(np.float32)
    module = TotalVariation(2.0, "nine-point")
    expected = gradient_of(module, x.astype(float))
    loss = module.loss
    dx = gradient_of(module, x)
    assert dx.dtype == np.float32
    assert type(module.loss) is float
    assert module.loss == pytest.approx(loss, rel=1e-6)
    assert np.linalg.norm(dx - expected) <= 1e-6 * np.linalg.norm(expected)


def test_unknown_forms_suggest_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'nine-point'"):
        TotalVariation(form="nine-points")
