"""neural-style's normalised gradients, which are no gradient of any loss; and weights that count squared."""

import numpy as np
import pytest

from nst_manual import nn
from nst_manual.check import gradcheck
from nst_manual.errors import UsageError
from nst_manual.losses import ContentLoss, StyleLoss, gram

RNG = np.random.default_rng(1)
X, P, DY = (RNG.standard_normal((1, 6, 5, 4)) for _ in range(3))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(
    "make", [lambda w: ContentLoss(P, w, "mean"), lambda w: StyleLoss(gram(P, "mean")[0], w, "mean")]
)
def test_the_gradient_over_its_sum_of_absolute_values_times_the_weight(make, in_place):
    plain, module = make(1.0), make(7.0)
    plain.forward(X)
    g = plain.backward(X, np.zeros_like(X))
    module.normalized, module.in_place = True, in_place
    loss = module.update_output(X) is X and module.loss
    dy = DY.copy()
    found = module.update_grad_input(X, dy)
    np.testing.assert_allclose(found, DY + 7 * g / (np.abs(g).sum() + 1e-8), rtol=1e-12)
    assert loss == pytest.approx(7 * plain.loss, rel=1e-12)  # the number that is reported stays
    assert (found is dy) == in_place


def test_at_the_target_nothing_is_divided_by_nothing():
    module = ContentLoss(X, 3.0, "mean")
    module.normalized = True
    module.forward(X)
    np.testing.assert_array_equal(module.backward(X, DY), DY)


def test_the_checker_refuses_it_by_name():
    module = ContentLoss(P, 3.0, "mean")
    assert gradcheck(module, X).passed
    module.normalized, module.name = True, "content"
    for subject in (module, nn.Sequential(module)):
        with pytest.raises(UsageError, match="content divides its gradient by its L1 norm"):
            gradcheck(subject, X)
