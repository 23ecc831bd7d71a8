"""The early stop: when, in which words, and with every optimiser."""

import numpy as np
import pytest
from descent_functions import Recorded, quadratic, rosenbrock, start

from nst_manual.errors import UsageError
from nst_manual.optim import (
    LBFGS,
    Adagrad,
    Adam,
    Averaged,
    GradientDescent,
    Momentum,
    NoProgress,
    RMSProp,
    ScipyLBFGS,
)

OPTIMIZERS = {
    "adagrad": Adagrad(0.3),
    "adam": Adam(0.05),
    "averaged": Averaged(Adam(0.05), 0.9),
    "backtracking": GradientDescent(backtracking=True),
    "gradient-descent": GradientDescent(0.001),
    "lbfgs": LBFGS(),
    "lbfgs-bounded": LBFGS(bounds=(-1, 1)),
    "lbfgs-scipy": ScipyLBFGS(),
    "momentum": Momentum(0.001),
    "nesterov": Momentum(0.001, nesterov=True),
    "rmsprop": RMSProp(0.05),
}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


def answers(stop, losses):
    return [stop(t, loss) for t, loss in enumerate(losses, start=1)]


def first(found):
    """Return the first iteration with an answer, from 1; 0 where there is none."""
    return next((t for t, why in enumerate(found, start=1) if why), 0)


def by_definition(losses, tolerance, patience):
    for t in range(patience + 1, len(losses) + 1):
        before, now = min(losses[: t - patience]), min(losses[:t])
        if before - now <= tolerance * abs(before):
            return t
    return 0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("tolerance", "patience"), [(0.0, 3), (0.02, 1), (0.05, 4), (0.3, 10)])
def test_it_ends_at_the_first_iteration_of_the_definition(seed, tolerance, patience):
    rng = np.random.default_rng(seed)
    losses = list(np.exp(-np.sqrt(np.arange(40.0))) * rng.uniform(0.8, 1.2, 40) + rng.choice([0, 0.3, -2]))
    found = first(answers(NoProgress(tolerance, patience), losses))
    assert found == by_definition(losses, tolerance, patience)


def test_closed_cases():
    halving = [0.5**t for t in range(30)]
    assert first(answers(NoProgress(0.49, 1), halving)) == 0
    assert first(answers(NoProgress(0.51, 1), halving)) == 2
    assert first(answers(NoProgress(0.74, 2), halving)) == 0
    assert first(answers(NoProgress(0.76, 2), halving)) == 3
    assert first(answers(NoProgress(0, 3), [5, 4, 4, 4, 4])) == 5
    assert first(answers(NoProgress(0, 3), [5, 4, 6, 7, 3.9, 8, 8, 8])) == 8  # the lowest counts
    assert first(answers(NoProgress(0, 2), [0, 0, 0])) == 3
    assert first(answers(NoProgress(0.5, 2), [float("nan")] * 4)) == 3


def test_the_words():
    assert answers(NoProgress(1e-3, 2), [1, 1, 1])[-1] == "the loss fell by less than 0.1 % in the last 2"
    assert answers(NoProgress(0, 2), [1, 1, 1])[-1] == "the loss did not fall in the last 2"


def test_a_new_run_begins_anew():
    stop = NoProgress(0, 3)
    for _ in range(3):
        assert first(answers(stop, [2, 1, 1, 1])) == 0
    assert first(answers(stop, [2, 1, 1, 1, 1])) == 5


def test_it_goes_on_from_its_state():
    losses = [9, 7, 6, 6, 6, 5, 5, 5, 5, 5]
    expected = answers(NoProgress(0, 3), losses)
    for count in range(1, 9):
        before, after = NoProgress(0, 3), NoProgress(0, 3)
        found = answers(before, losses[:count])
        after.restore(before.state())
        assert found + answers(after, losses[count:]) == expected
        assert answers(after, losses) == expected  # for one run only


@every_optimizer
def test_it_ends_a_run_that_stands_still_and_says_so(optimizer):
    def f(x):
        """Fall for a while, then ever less."""
        loss, gradient = quadratic(x)
        return 1000 + loss, gradient

    stop, shown = NoProgress(1e-3, 8), []
    result = optimizer.minimize(f, start(), 500, lambda i, x: shown.append(x.copy()), stop=stop)
    assert 9 <= result.iterations < 500
    assert len(shown) == result.iterations
    np.testing.assert_array_equal(result.x, shown[-1])
    why = "the loss fell by less than 0.1 % in the last 8"
    assert result.message == why
    assert not result.failed


@every_optimizer
def test_stop_is_asked_after_each_iteration_with_its_last_loss(optimizer):
    f, asked, order = Recorded(rosenbrock), [], []

    def stop(iteration, loss):
        asked.append((iteration, loss, f.losses[-1]))
        order.append("stop")
        return ""

    result = optimizer.minimize(f, start(), 12, lambda i, x: order.append("shown"), stop=stop)
    assert [iteration for iteration, *_ in asked] == list(range(1, 13))
    assert order == ["shown", "stop"] * 12
    assert all(loss == last for _, loss, last in asked)
    assert (result.iterations, result.message) == (12, "")


@every_optimizer
def test_a_stop_at_the_last_iteration_is_no_early_one(optimizer):
    result = optimizer.minimize(rosenbrock, start(), 5, stop=lambda i, loss: "enough" if i == 5 else "")
    assert (result.iterations, result.message) == (5, "")


@every_optimizer
def test_errors_of_stop_come_through(optimizer):
    def stop(iteration, loss):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        optimizer.minimize(rosenbrock, start(), 5, stop=stop)


@pytest.mark.parametrize(
    ("tolerance", "patience", "told"),
    [
        (-0.1, 5, "a tolerance from 0 and below 1, got -0.1"),
        (1, 5, "a tolerance"),
        (float("nan"), 5, "a tolerance"),
        (0.1, 0, "a patience of 1 iteration or more, got 0"),
        (0.1, 2.5, "a patience"),
        (0.1, True, "a patience"),
    ],
)
def test_numbers_out_of_range_are_refused(tolerance, patience, told):
    with pytest.raises(UsageError) as caught:
        NoProgress(tolerance, patience)
    assert told in str(caught.value)
