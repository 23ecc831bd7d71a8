"""L-BFGS goes on from its state as if it had never stopped, to the bit."""

import numpy as np
import pytest
from descent_functions import Recorded, quadratic, rosenbrock, start

from nst_manual.errors import UsageError
from nst_manual.optim import LBFGS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("history", [3, 50])
@pytest.mark.parametrize("first", [1, 10, 19])
def test_a_run_in_two_parts_gives_the_same_bits(dtype, history, first):
    whole = Recorded(rosenbrock)
    expected = LBFGS(history).minimize(whole, start(dtype), 20)

    parts, before, after = Recorded(rosenbrock), LBFGS(history), LBFGS(history)
    before.minimize(parts, start(dtype), first)
    state = before.state()
    before.minimize(quadratic, start(dtype), 5)  # another run, which the state knows nothing of
    after.restore(state)
    for value in state.values():
        if isinstance(value, np.ndarray):
            value[...] = np.nan  # nor does the optimiser hold on to the state
    result = after.minimize(parts, parts.points[-1], 20 - first)

    np.testing.assert_array_equal(result.x, expected.x)
    np.testing.assert_array_equal(parts.points, whole.points)
    assert result.iterations == 20 - first


def test_the_state_may_be_taken_while_it_runs():
    optimizer, states = LBFGS(4), []
    expected = optimizer.minimize(rosenbrock, start(), 12, lambda i, x: states.append(optimizer.state())).x
    for done, state in enumerate(states[:-1], start=1):
        again = LBFGS(4)
        again.restore(state)
        np.testing.assert_array_equal(again.minimize(rosenbrock, state["x"], 12 - done).x, expected)


def test_the_state_is_arrays_and_numbers_as_a_file_holds_them(tmp_path):
    optimizer = LBFGS(4)
    optimizer.minimize(rosenbrock, start(np.float32), 8)
    state = optimizer.state()
    np.savez(tmp_path / "state.npz", **state)
    with np.load(tmp_path / "state.npz") as file:
        read = dict(file)
    ends = []
    for known in (state, read):
        again = LBFGS(4)
        again.restore(known)
        ends.append(again.minimize(rosenbrock, known["x"], 8).x)
    np.testing.assert_array_equal(*ends)


def test_a_restored_state_serves_one_run_only():
    optimizer = LBFGS()
    optimizer.minimize(rosenbrock, start(), 6)
    optimizer.restore(optimizer.state())
    first = optimizer.minimize(rosenbrock, optimizer.state()["x"], 6).x
    fresh = optimizer.minimize(rosenbrock, start(), 12).x
    np.testing.assert_array_equal(first, fresh)


def test_a_state_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="no state"):
        LBFGS().state()
    optimizer = LBFGS(5)
    optimizer.minimize(rosenbrock, start(), 8)
    state = optimizer.state()
    with pytest.raises(UsageError, match="5 corrections, and 4 are kept"):
        LBFGS(4).restore(state)
    for other in (start(), state["x"].astype(np.longdouble), np.zeros((1, 2, 2, 4))):
        optimizer.restore(state)
        with pytest.raises(UsageError, match="the point of the restored state"):
            optimizer.minimize(rosenbrock, other, 3)
