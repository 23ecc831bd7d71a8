"""What is measured: pictures of exactly the size asked for, and the memory of this process."""

from __future__ import annotations

import numpy as np
import pytest

from nst_manual.bench.subjects import Ours
from nst_manual.machine import cpu_model, peak_memory, versions

OPTIONS = {
    "network": "vgg11",
    "weights": "random",
    "style_layers": "relu1_1",
    "content_layers": "relu1_1",
    "threads": 1,
}


@pytest.mark.parametrize("size", [(37, 51), (51, 37), (40, 40), (9, 64)])
def test_the_objective_has_exactly_the_size_asked_for(size):
    ours = Ours({"size": size, "options": OPTIONS})
    assert ours.objective.shape == (1, *size, 3)
    assert ours.image.shape == (1, *size, 3)
    assert ours.objective.content.std() > 20, "no picture"


def test_every_loss_has_something_to_do():
    ours = Ours({"size": (37, 51), "options": OPTIONS})
    ours.evaluate()
    assert min(ours.objective.losses.values()) > 0


def test_peak_memory_counts_what_was_allocated_and_given_back():
    before = peak_memory()
    if before is None:
        pytest.skip("the system does not tell")
    np.ones(2**25)  # 256 MiB
    assert peak_memory() > before or before > 300
    assert peak_memory() >= 256


def test_the_machine_has_a_name_and_versions():
    assert cpu_model()
    found = versions("numpy")
    assert found["numpy"] == np.__version__
    assert found["python"][0] == "3"
