"""Learning-rate schedules: closed forms, the text that names them, and what is refused."""

import math

import numpy as np
import pytest

from nst_manual.errors import UsageError
from nst_manual.optim import parse_schedule
from nst_manual.optim.schedule import constant, cosine, exponential, product, step, warm_up


def factors(schedule, iterations):
    return [schedule(t, iterations) for t in range(1, iterations + 1)]


def test_closed_forms():
    assert factors(constant, 3) == [1, 1, 1]
    assert factors(step(0.5, 2), 5) == [1, 1, 0.5, 0.5, 0.25]
    assert factors(exponential(0.5), 4) == [1, 0.5, 0.25, 0.125]
    assert factors(warm_up(4), 6) == [0.25, 0.5, 0.75, 1, 1, 1]
    np.testing.assert_allclose(factors(cosine(), 4), [1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)])
    np.testing.assert_allclose(factors(cosine(0.2), 2), [1, 0.6])


def test_a_cosine_of_its_own_length_stays_at_its_floor():
    found = factors(cosine(0.1, 4), 7)
    np.testing.assert_allclose(found[:4], factors(cosine(0.1), 4))
    np.testing.assert_allclose(found[4:], [0.1, 0.1, 0.1])


@pytest.mark.parametrize("name", ["CosineAnnealingLR", "StepLR", "ExponentialLR"])
def test_they_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    ours = {"CosineAnnealingLR": cosine(0.1), "StepLR": step(0.3, 7), "ExponentialLR": exponential(0.9)}[name]
    options = {"CosineAnnealingLR": (20, 0.1), "StepLR": (7, 0.3), "ExponentialLR": (0.9,)}[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    theirs, rates = getattr(torch.optim.lr_scheduler, name)(optimizer, *options), []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    np.testing.assert_allclose(factors(ours, 20), rates, rtol=1e-10)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("constant", constant),
        ("step:0.5@100", step(0.5, 100)),
        ("exponential:0.99", exponential(0.99)),
        ("exponential:9.9e-1", exponential(0.99)),
        ("cosine", cosine()),
        ("cosine:0.1", cosine(0.1)),
        ("cosine:0", cosine()),
        ("cosine@150", cosine(length=150)),
        ("cosine:0.1@150", cosine(0.1, 150)),
        ("warm-up@20", warm_up(20)),
        ("warm-up@20,cosine", product(warm_up(20), cosine())),
        (
            " warm-up@20 , step:0.5@50 , exponential:0.99",
            product(warm_up(20), step(0.5, 50), exponential(0.99)),
        ),
    ],
)
def test_a_text_names_a_schedule(text, schedule):
    assert factors(parse_schedule(text), 210) == factors(schedule, 210)


def test_parts_with_commas_are_multiplied():
    found = factors(parse_schedule("warm-up@2,step:0.5@3"), 5)
    assert found == [0.5, 1, 1, 0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cosin", "'cosin' is unknown, did you mean 'cosine'?"),
        ("", "'' is unknown"),
        ("cosine,", "'' is unknown"),
        ("Step:0.5@100", "'Step' is unknown, did you mean 'step'?"),
        ("step", "step takes a factor after ':', got 'step'"),
        ("step:0.5", "step takes a number of iterations after '@', got 'step:0.5'"),
        ("step:0.5@", "step takes a number of iterations after '@'"),
        ("step@100", "step takes a factor after ':'"),
        ("step:@100", "step takes a factor after ':'"),
        ("exponential", "exponential takes a factor after ':'"),
        ("exponential:0.9@5", "exponential takes no number of iterations after '@'"),
        ("constant:1", "constant takes no factor after ':'"),
        ("warm-up", "warm-up takes a number of iterations after '@'"),
        ("warm-up:2@5", "warm-up takes no factor after ':'"),
        ("cosine:", "cosine takes a factor after ':'"),
        ("cosine@", "cosine takes a number of iterations after '@'"),
        ("step:half@100", "expected a factor above 0, up to 1, got 'half' in 'step:half@100'"),
        ("step:0@100", "expected a factor above 0, up to 1, got '0'"),
        ("step:1.5@100", "got '1.5'"),
        ("exponential:nan", "got 'nan'"),
        ("exponential:-0.5", "got '-0.5'"),
        ("cosine:-0.1", "expected a factor from 0 up to 1, got '-0.1'"),
        ("step:0.5@0", "expected 1 or more iterations, got '0' in 'step:0.5@0'"),
        ("step:0.5@2.5", "got '2.5'"),
        ("step:0.5@-3", "got '-3'"),
        ("warm-up@²", "got '²'"),
        ("cosine,warm-up@x", "got 'x' in 'cosine,warm-up@x'"),
    ],
)
def test_a_text_that_names_none_is_refused(text, told):
    with pytest.raises(UsageError) as caught:
        parse_schedule(text)
    assert caught.value.what == "schedule"
    assert told in str(caught.value)
    assert "cosine" in caught.value.hint
