"""Every optimiser with a state goes on from it as if it had never stopped, to the bit."""

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
    RMSProp,
    ScipyLBFGS,
    parse_schedule,
)

BOUNDS = (-0.5, 0.6)
DECAY = parse_schedule("warm-up@3,step:0.5@6,exponential:0.97")
KINDS = {
    "adagrad": lambda: Adagrad(0.3, schedule=DECAY),
    "adam": lambda: Adam(0.1),
    "adam-bounded": lambda: Adam(0.1, bounds=BOUNDS, schedule=DECAY),
    "averaged-adam": lambda: Averaged(Adam(0.1, bounds=BOUNDS), 0.9),
    "averaged-lbfgs": lambda: Averaged(LBFGS(4), 0.9),
    "backtracking": lambda: GradientDescent(backtracking=True),
    "backtracking-bounded": lambda: GradientDescent(1.0, bounds=BOUNDS, backtracking=True),
    "gradient-descent": lambda: GradientDescent(schedule=DECAY),
    "lbfgs-bounded": lambda: LBFGS(4, bounds=BOUNDS),
    "momentum": lambda: Momentum(0.001, bounds=BOUNDS),
    "nesterov": lambda: Momentum(0.001, nesterov=True, schedule=DECAY),
    "rmsprop": lambda: RMSProp(0.05),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("first", [1, 10, 19])
def test_a_run_in_two_parts_gives_the_same_bits(kind, dtype, first):
    make = KINDS[kind]
    whole, shown = Recorded(rosenbrock), []
    expected = make().minimize(whole, start(dtype), 20, lambda i, x: shown.append(x.copy()))

    parts, again, before, after = Recorded(rosenbrock), [], make(), make()
    before.minimize(parts, start(dtype), first, lambda i, x: again.append(x.copy()))
    state = before.state()
    x = state["x"].copy()
    before.minimize(quadratic, start(dtype), 5)  # another run, which the state knows nothing of
    after.restore(state)
    for value in state.values():
        if isinstance(value, np.ndarray):
            value[...] = np.nan  # nor does the optimiser hold on to the state
    result = after.minimize(parts, x, 20 - first, lambda i, x: again.append(x.copy()))

    np.testing.assert_array_equal(result.x, expected.x)
    np.testing.assert_array_equal(parts.points, whole.points)
    np.testing.assert_array_equal(again, shown)
    assert result.iterations == 20 - first
    assert result.x.dtype == dtype


@every_kind
def test_the_state_may_be_taken_while_it_runs_and_kept_in_a_file(kind, tmp_path):
    optimizer, states = KINDS[kind](), []
    expected = optimizer.minimize(rosenbrock, start(), 12, lambda i, x: states.append(optimizer.state())).x
    for done, state in enumerate(states[:-1], start=1):
        np.savez(tmp_path / "state.npz", **state)
        with np.load(tmp_path / "state.npz") as file:  # without pickle: arrays and numbers alone
            read = dict(file)
        again = KINDS[kind]()
        again.restore(read)
        np.testing.assert_array_equal(again.minimize(rosenbrock, read["x"], 12 - done).x, expected)


@every_kind
def test_whoever_writes_to_the_state_does_not_write_to_the_optimiser(kind):
    optimizer = KINDS[kind]()

    def spoil(iteration, x):
        for value in optimizer.state().values():
            if isinstance(value, np.ndarray):
                value[...] = np.nan

    expected = KINDS[kind]().minimize(rosenbrock, start(), 8).x
    np.testing.assert_array_equal(optimizer.minimize(rosenbrock, start(), 8, spoil).x, expected)


@every_kind
def test_no_iterations_leave_a_restored_state_for_the_next_run(kind):
    optimizer, expected = KINDS[kind](), KINDS[kind]().minimize(rosenbrock, start(), 8).x
    optimizer.minimize(rosenbrock, start(), 4)
    state = optimizer.state()
    optimizer.restore(state)
    optimizer.minimize(rosenbrock, state["x"], 0)
    np.testing.assert_array_equal(optimizer.minimize(rosenbrock, state["x"], 4).x, expected)


@every_kind
def test_a_restored_state_serves_one_run_only(kind):
    optimizer = KINDS[kind]()
    optimizer.minimize(rosenbrock, start(), 6)
    optimizer.restore(optimizer.state())
    optimizer.minimize(rosenbrock, optimizer.state()["x"], 6)
    fresh = optimizer.minimize(rosenbrock, start(), 8).x
    np.testing.assert_array_equal(fresh, KINDS[kind]().minimize(rosenbrock, start(), 8).x)


@every_kind
def test_a_state_that_does_not_fit_is_refused(kind):
    with pytest.raises(UsageError, match="no state before the first iteration"):
        KINDS[kind]().state()
    optimizer = KINDS[kind]()
    optimizer.minimize(rosenbrock, start(), 4)
    state = optimizer.state()
    for other in (start(seed=1) / 4, state["x"].astype(np.longdouble), np.zeros((1, 2, 2, 4))):
        optimizer.restore(state)
        with pytest.raises(UsageError, match="the point of the restored state"):
            optimizer.minimize(rosenbrock, other, 3)


@pytest.mark.parametrize(
    ("taken", "given", "missing"),
    [
        ("adam", "adagrad", "squares"),
        ("adagrad", "adam", "m, v"),
        ("adam", "backtracking", "loss, gradient"),
        ("backtracking", "gradient-descent", "iteration"),
        ("adam", "lbfgs-bounded", "loss, gradient, s, y"),
        ("adam", "averaged-adam", "average, averaged"),
    ],
)
def test_the_state_of_another_optimiser_is_refused(taken, given, missing):
    optimizer = KINDS[taken]()
    optimizer.minimize(rosenbrock, start(), 2)
    with pytest.raises(UsageError, match=f"the state is another optimiser's, it has no {missing}"):
        KINDS[given]().restore(optimizer.state())


def test_a_cosine_knows_the_whole_run_where_the_state_is_taken_in_it():
    def make():
        return Adam(0.1, schedule=parse_schedule("cosine"))

    optimizer, states = make(), []
    expected = optimizer.minimize(rosenbrock, start(), 20, lambda i, x: states.append(optimizer.state())).x
    again = make()
    again.restore(states[9])
    np.testing.assert_array_equal(again.minimize(rosenbrock, states[9]["x"], 10).x, expected)


def test_an_error_of_the_function_leaves_the_state_of_the_last_iteration():
    for kind, make in KINDS.items():
        f, optimizer, states = Recorded(rosenbrock), make(), []

        def failing(x, f=f):
            if len(f.points) == 9:
                raise KeyboardInterrupt
            return f(x)

        with pytest.raises(KeyboardInterrupt):
            optimizer.minimize(failing, start(), 20, lambda i, x, o=optimizer, s=states: s.append(o.state()))
        state = optimizer.state()
        for name, value in states[-1].items():
            np.testing.assert_array_equal(state[name], value, err_msg=f"{kind}: {name}")


def test_scipy_has_no_state_and_says_so():
    for optimizer in (ScipyLBFGS(), Averaged(ScipyLBFGS())):
        optimizer.minimize(rosenbrock, start(), 2)
        with pytest.raises(UsageError, match="SciPy's L-BFGS: has no state to go on from"):
            optimizer.state()
    with pytest.raises(UsageError, match="our own L-BFGS has"):
        ScipyLBFGS().restore({})
