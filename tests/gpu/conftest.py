"""The tier that needs a GPU: left out unless asked for with `-m gpu`, which says so where there is none."""

from __future__ import annotations

import functools

import pytest


@functools.cache
def why_not() -> str:
    """Return why there is no GPU, or ""."""
    from nst_manual.check.device import available

    return available()


def asked_for(config: pytest.Config) -> bool:
    """Whether `-m` has the word."""
    return "gpu" in config.getoption("-m").replace("not gpu", "").split()


@pytest.fixture(autouse=True)
def gpu(request: pytest.FixtureRequest) -> None:
    """Let a test run with a GPU that was asked for, end all without one, and be skipped otherwise."""
    if not asked_for(request.config):
        pytest.skip("needs a GPU: pytest -m gpu")
    if why := why_not():
        pytest.exit(f"there is no GPU to test: {why}", returncode=1)
