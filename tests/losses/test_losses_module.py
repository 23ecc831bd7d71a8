"""What all losses have in common: transparent on the way forward, adding to dy on the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_reference import assert_every_element, assert_gradient, gradient_of
from loss_samples import MAKERS, WEIGHT

from nst_manual import nn
from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses import ContentLoss, LossModule, StyleLoss, TotalVariation

SHAPE = (1, 5, 4, 3)
every_loss = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def draw(seed, shape=SHAPE, dtype=float):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@every_loss
def test_every_element_of_the_gradient_by_complex_step(make):
    assert_every_element(make(SHAPE), draw(1))


@every_loss
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4)), st.integers(0, 99)
)
def test_gradient_by_complex_step_for_all_shapes(make, shape, seed):
    assert_gradient(make(shape, seed), draw(seed + 1, shape), directions=2)


@every_loss
@pytest.mark.parametrize("shape", [(1, 1, 7, 2), (1, 7, 1, 2), (1, 1, 1, 1)])
def test_gradient_of_a_single_row_column_and_pixel(make, shape):
    assert_gradient(make(shape), draw(1, shape))


@every_loss
def test_output_is_the_input_itself(make):
    x = draw(1)
    before = x.copy()
    module = make(SHAPE)
    assert module.update_output(x) is x
    assert module.output is x
    np.testing.assert_array_equal(x, before)


@every_loss
def test_gradient_is_added_to_dy_and_dy_is_not_written(make):
    module, x, dy = make(SHAPE), draw(1), draw(2)
    alone, before = gradient_of(module, x), dy.copy()
    assert np.any(alone)
    dx = module.update_grad_input(x, dy)
    # what is added in several steps rounds at each
    np.testing.assert_allclose(dx, alone + dy, rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(dy, before)
    assert not np.shares_memory(dx, dy)
    assert not np.shares_memory(dx, x)


@every_loss
def test_in_place_the_gradient_is_added_to_dy_itself(make):
    module, x, dy = make(SHAPE), draw(1), draw(2)
    module.update_output(x)
    expected = module.update_grad_input(x, dy).copy()
    module.in_place = True
    dx = module.update_grad_input(x, dy)
    assert dx is dy
    assert module.grad_input is dy
    np.testing.assert_array_equal(dx, expected)


@every_loss
def test_a_new_loss_is_not_in_place(make):
    assert make(SHAPE).in_place is False


@every_loss
def test_the_gradient_is_added_to_memory_of_any_layout(make):
    module, x, dy = make(SHAPE), draw(1), draw(2)
    module.update_output(x)
    expected = module.update_grad_input(x, dy).copy()
    apart = np.full(tuple(2 * side for side in SHAPE), 99.0)[:, ::2, ::-2, ::2][:1]
    for out in (apart, np.moveaxis(np.zeros((1, 3, 5, 4)), 1, -1)):
        out[...] = dy
        module.add_gradient(x, out)
        np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-14)


@every_loss
@pytest.mark.parametrize("values", [1, 7, 40])
def test_bands_of_any_height_give_the_same(make, values, monkeypatch):
    module, x = make(SHAPE), draw(1)
    expected = gradient_of(module, x)
    loss = module.loss
    monkeypatch.setattr("nst_manual.losses.content.BAND_VALUES", values)
    monkeypatch.setattr("nst_manual.kernels.gram.BACKWARD_POSITIONS", values)
    np.testing.assert_allclose(gradient_of(module, x), expected, rtol=1e-12, atol=1e-14)
    assert module.loss == pytest.approx(loss, rel=1e-13)


@every_loss
def test_target_and_input_are_not_written(make):
    module, x = make(SHAPE), draw(1)
    target = getattr(module, "target", np.zeros(1)).copy()
    before = x.copy()
    gradient_of(module, x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(getattr(module, "target", np.zeros(1)), target)


@every_loss
def test_gradient_belongs_to_the_last_input(make):
    module, first, second = make(SHAPE), draw(1), draw(2)
    gradient_of(module, first)
    np.testing.assert_array_equal(gradient_of(module, second), gradient_of(make(SHAPE), second))


@every_loss
def test_loss_and_gradient_are_proportional_to_the_weight(make):
    x = draw(1)
    once, thrice = make(SHAPE), make(SHAPE)
    thrice.weight = 3 * WEIGHT
    dx, dx3 = gradient_of(once, x), gradient_of(thrice, x)
    assert thrice.loss == pytest.approx(3 * once.loss, rel=1e-14)
    np.testing.assert_allclose(dx3, 3 * dx, rtol=1e-13)


@every_loss
def test_float32_stays_float32_and_is_right_to_its_precision(make):
    x = draw(1, dtype=np.float32)
    single, double = make(SHAPE, dtype=np.float32), make(SHAPE, dtype=np.float32)
    if hasattr(double, "target"):
        double.target = double.target.astype(float)
    dx, expected = gradient_of(single, x), gradient_of(double, x.astype(float))
    assert dx.dtype == np.float32
    assert type(single.loss) is float
    assert single.loss == pytest.approx(double.loss, rel=1e-5)
    assert np.linalg.norm(dx - expected) <= 1e-5 * np.linalg.norm(expected)


@every_loss
def test_elements_that_lie_apart_in_memory(make):
    wide = draw(1, (1, 10, 8, 3))
    apart = wide[:, ::-2, ::2]
    together = np.ascontiguousarray(apart)
    assert not apart.flags.c_contiguous
    module = make(SHAPE)
    expected = gradient_of(module, together)
    loss = module.loss
    np.testing.assert_allclose(gradient_of(module, apart), expected, rtol=1e-12, atol=1e-13)
    assert module.loss == pytest.approx(loss, rel=1e-13)


@every_loss
def test_size_and_type_may_change_between_calls(make):
    for shape, dtype in [((1, 3, 4, 2), np.float32), ((1, 4, 3, 2), float), ((1, 4, 3, 2), np.float32)]:
        module = make(shape)
        x = draw(3, shape, dtype)
        reused = make((1, 3, 4, 2))
        gradient_of(reused, draw(4, (1, 3, 4, 2)))
        if hasattr(module, "target"):
            reused.target = module.target
        np.testing.assert_array_equal(gradient_of(reused, x), gradient_of(module, x))


@every_loss
def test_something_that_is_not_a_batch_of_images_is_refused(make):
    for shape in [(5, 4, 3), (5,), (1, 1, 5, 4, 3)]:
        with pytest.raises(ShapeError, match=r"input.*got"):
            make(SHAPE).update_output(draw(1, shape))


@every_loss
def test_losses_in_a_row_sum_and_each_adds_its_gradient(make):
    x, dy = draw(1), draw(2)
    row = nn.Sequential(make(SHAPE, 1), make(SHAPE, 2))
    row.update_output(x)
    dx = row.update_grad_input(x, dy).copy()
    one, other = make(SHAPE, 1), make(SHAPE, 2)
    np.testing.assert_allclose(dx, gradient_of(one, x) + gradient_of(other, x) + dy, rtol=1e-12, atol=1e-13)
    assert row.loss == one.loss + other.loss


@every_loss
def test_the_state_is_let_go_and_made_anew(make):
    module, x = make(SHAPE), draw(1)
    expected = gradient_of(module, x)
    module.clear_state()
    assert module.output is None
    assert module.grad_input is None
    assert getattr(module, "difference", None) is None
    np.testing.assert_array_equal(gradient_of(module, x), expected)


@every_loss
def test_form_and_weight_are_printed(make):
    module = make(SHAPE)
    assert repr(module) == f"{type(module).__name__}({module.form}, weight=1.7)"


@pytest.mark.parametrize(
    ("make", "meant"),
    [
        (lambda: ContentLoss(np.zeros(SHAPE), form="meen"), "mean"),
        (lambda: StyleLoss(np.zeros((3, 3)), form="papers"), "paper"),
        (lambda: TotalVariation(form="square"), "squared"),
    ],
    ids=["content", "style", "tv"],
)
def test_an_unknown_form_is_refused_and_the_nearest_suggested(make, meant):
    with pytest.raises(UsageError, match=f"did you mean '{meant}'"):
        make()


def test_the_base_says_what_a_new_loss_has_to_have():
    module = LossModule()
    with pytest.raises(NotImplementedError, match="measure"):
        module.update_output(draw(1))
    with pytest.raises(NotImplementedError, match="add_gradient"):
        module.update_grad_input(draw(1), draw(1))
