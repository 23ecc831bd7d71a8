"""What a GPU has to pass, on a GPU: kernels, modules, losses, networks and optimisers against NumPy."""

from __future__ import annotations

import pytest

from nst_manual.check.device import checks

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("check", list(checks()), ids=lambda check: check.title)
def test_the_gpu_computes_as_numpy_does(check):
    error, bound = check.run()
    assert error <= bound, f"error {error:.2e}, bound {bound:.2e}"
