"""The checker: everything right passes, every planted mistake is found, and strange modules get an answer."""

import numpy as np
import pytest

from nst_manual.check import Report, census, gradcheck
from nst_manual.check.mutations import mutations
from nst_manual.check.suite import check_mutations, chosen
from nst_manual.check.targets import targets
from nst_manual.errors import UsageError

RNG = np.random.default_rng
SMALL = [target for target in targets() if target.group != "networks"]


@pytest.mark.parametrize("target", SMALL, ids=[target.name for target in SMALL])
def test_what_is_right_passes(target):
    module, x = target.make(RNG(7))
    report = gradcheck(module, x, name=target.name, seed=7)
    assert report.passed, str(report)


@pytest.mark.parametrize("seed", range(12))
def test_no_seed_of_the_input_is_one_that_the_checker_uses_itself(seed):
    (target,) = chosen(["LocalResponseNorm"])
    module, x = target.make(RNG(seed))
    report = gradcheck(module, x, seed=seed)
    assert report.passed, str(report)
    assert "adjoint identity" not in str(report)  # it is not linear


@pytest.mark.parametrize("name", ["vgg11 with losses, neural-style-pt", "vgg11 with losses, fused"])
def test_a_network_with_losses_inside_passes(name):
    (target,) = chosen([name])
    report = gradcheck(*target.make(RNG(3)))
    assert report.passed, str(report)
    assert "directions" in report.checks[0].method


@pytest.mark.parametrize("mutation", mutations(), ids=[mutation.name for mutation in mutations()])
def test_a_planted_mistake_is_caught(mutation):
    (found,) = check_mutations(11, [mutation])
    assert found.caught


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("conv dx: kernel not turned", "the kernel is not turned by 180 degrees"),
        ("conv dx: rows and columns of the kernel exchanged", "rows and columns of the kernel"),
        ("conv dx: channels in and out exchanged", "channels in and out are exchanged"),
        ("conv dx: summed in float32", "float32"),
        ("conv dx: the border is left out", "left out"),
        ("conv dx: an upstream of ones", "dy is not used"),
        ("ReLU: passes the gradient at x == 0", "where x is 0"),
        ("ReLU: writes to dy", "work on a copy"),
        ("average pool: dx added up from call to call", "fill it with zeros first"),
        ("max-pool: a tie gets the gradient twice", "more than once"),
        ("content: dy is dropped", "takes the place of dy"),
        ("content: the gradient of twice the loss", "twice as large"),
        ("content: the target minus the features", "subtracted"),
        ("style: a factor 2 lost", "half as large"),
        ("style: the gradient from the target's features", "what comes of dy is right"),
        ("a loss left out of the sum", "what comes of dy is right"),
        ("TV: in the gradient, not in the loss", "what comes of dy is right"),
        ("Gram: a symmetric upstream taken for granted", "right for a symmetric dy alone"),
        ("style: not divided by the positions", "the number of positions, H W (30) as a factor too many"),
    ],
)
def test_the_mistake_is_named(name, words):
    (mutation,) = [mutation for mutation in mutations() if mutation.name == name]
    (found,) = check_mutations(2, [mutation])
    assert words in found.cause


def test_the_place_is_named():
    names = {mutation.name: mutation for mutation in mutations()}
    module, x = names["conv dx: last column lost"].make(RNG(0))
    assert "column 4 alone, the last of 5" in gradcheck(module, x).failures[0].where
    module, x = names["conv dx: one element off by 10 %"].make(RNG(0))
    assert "image 0, row 2, column 3, channel 1" in gradcheck(module, x).failures[0].where


class Cubes:
    """y = x^3 on many numbers, with a mistake in one of them."""

    def forward(self, x):
        return x**3

    def backward(self, x, dy):
        dx = 3 * x**2 * dy
        dx[0, 31, 17, 2] *= 1.01
        return dx


def test_of_many_elements_the_wrong_one_is_found_by_bisection():
    x = RNG(0).standard_normal((1, 40, 40, 3))
    report = gradcheck(Cubes(), x)
    assert not report.passed
    assert "by bisection: at image 0, row 31, column 17, channel 2" in report.failures[0].where


def test_of_many_elements_nan_and_a_factor_are_seen():
    x = RNG(0).standard_normal((1, 40, 40, 3))
    for factor, words in ((np.nan, "NaN"), (2.0, "twice as large")):
        module = Of(lambda x: x**3, lambda x, dy, factor=factor: factor * 3 * x**2 * dy)
        report = gradcheck(module, x)
        assert not report.passed
        assert words in report.failures[0].cause


class Of:
    """A module of two functions."""

    def __init__(self, forward, backward):
        self.forward, self.backward = forward, backward


def test_a_forward_that_cannot_take_complex_numbers_gets_central_differences():
    module = Of(lambda x: np.abs(x) ** 3, lambda x, dy: 3 * x * np.abs(x) * dy)
    report = gradcheck(module, RNG(0).standard_normal((3, 4)))
    assert report.passed, str(report)
    assert "central differences" in report.checks[0].method
    wrong = Of(module.forward, lambda x, dy: 3.001 * x * np.abs(x) * dy)
    assert not gradcheck(wrong, RNG(0).standard_normal((3, 4))).passed


def test_a_student_s_relu_by_maximum_passes_at_zero_with_either_choice():
    for at_zero in (np.greater, np.greater_equal):
        module = Of(lambda x: np.maximum(x, 0), lambda x, dy, at_zero=at_zero: dy * at_zero(x, 0))
        report = gradcheck(module, RNG(1).standard_normal((2, 5, 4, 3)))
        assert report.passed, str(report)


def test_float32_is_checked_as_such_and_says_so():
    def forward(x):
        return np.square(x, dtype="float32", casting="unsafe") if x.dtype.kind == "f" else x.astype("float32")

    right = Of(forward, lambda x, dy: (2 * x * dy).astype("float32"))
    report = gradcheck(right, RNG(0).standard_normal((4, 3)))
    assert report.checks[0].passed, str(report)
    assert "float32" in report.checks[0].note


@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (lambda x, dy: None, "nothing: is there a `return`?"),
        (lambda x, dy: [1.0], "got list"),
        (lambda x, dy: dy.T, "shape (3, 2), expected that of x, (2, 3)"),
        (lambda x, dy: dy * 1j, "complex"),
        (lambda x, dy: np.where(dy > np.sort(dy.ravel())[-2], np.nan, dy), "1 elements are NaN or infinite"),
    ],
)
def test_what_is_no_gradient_is_called_that(backward, words):
    report = gradcheck(Of(lambda x: x.copy(), backward), np.ones((2, 3)))
    assert not report.passed
    assert words in str(report)


@pytest.mark.parametrize(
    ("module", "x", "words"),
    [
        (object(), np.ones(3), "has no method forward"),
        (Of(lambda x: None, None), np.ones(3), "has no method backward"),
        (Of(lambda x: None, lambda x, dy: x), np.ones(3), "forward returned NoneType"),
        (Of(lambda x: x > 0, lambda x, dy: x), np.ones(3), "forward returned bool"),
        (Of(lambda x: x, lambda x, dy: x), np.ones((0, 3)), "x is empty"),
        (Of(lambda x: x, lambda x, dy: x), np.array([1, np.nan]), "NaN"),
    ],
)
def test_what_cannot_be_checked_is_refused(module, x, words):
    with pytest.raises(UsageError, match=words):
        gradcheck(module, x)


def test_the_report_is_a_table_of_what_was_checked():
    module, x = next(iter(targets())).make(RNG(0))
    report = gradcheck(module, x, name="mine")
    text = str(report)
    assert text.count("\nok") == len(report.checks)
    assert text.endswith("all passed")
    assert str(Report()) == "nothing was checked"
    assert not Report().passed


def test_the_census_counts_zeros_and_ties():
    x = np.array([[0.0, 1.0], [1.0, 1.0 + 1e-9]]).reshape(1, 2, 2, 1)
    assert census(x) == {"zeros": 1, "near_zeros": 0, "ties": 0, "near_ties": 2}
    assert census(np.array([0.0, 1e-9, 1.0])) == {"zeros": 1, "near_zeros": 1}


def test_targets_are_chosen_by_group_and_by_how_their_names_begin():
    assert {target.group for target in chosen(["losses"])} == {"losses"}
    assert [target.name for target in chosen(["styleloss, p"])] == ["StyleLoss, paper"]
    assert len(chosen(["relu", "ReLU"])) == 1
    assert len(chosen([])) == len(list(targets()))
    with pytest.raises(UsageError, match="did you mean 'ReLU'"):
        chosen(["ReLUU"])
