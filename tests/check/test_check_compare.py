"""Our network beside PyTorch's, row by row; a planted mistake is found in the row where it was planted."""

from __future__ import annotations

import dataclasses
import json
import subprocess

import numpy as np
import pytest
from torch_compare import torch  # skips where PyTorch is missing

from nst_manual.check import compare_cost, layers
from nst_manual.check.compare import BOUNDS, compare
from nst_manual.check.diagnosis import relative_error
from nst_manual.check.layers import OurLayers, run_chain, wiring
from nst_manual.config import run_config
from nst_manual.errors import ResourceError, UsageError
from nst_manual.kernels import max_pool
from nst_manual.losses import TotalVariation
from nst_manual.nets import get_network

SIZE = 32, 40
SMALL = {"network": "vgg11", "weights": "random", "threads": 1}
NAMES = [row.name for row in get_network("vgg11").rows]


def against_torch(**options):
    """Return the report of a small comparison with PyTorch."""
    report = compare(run_config(SMALL | options), SIZE, ["torch"], costs=False)
    (found,) = report["frameworks"]
    assert found["diverges"] == report["diverges"]
    json.dumps(report, allow_nan=False)
    return found


def by_name(found):
    return {row["name"]: row for row in found["layers"]}


@pytest.fixture
def plant(monkeypatch):
    """Return the function that changes a module of our network before it is compared."""

    def plant(name, change):
        build = layers.build_ours

        def planted(config):
            network, note = build(config)
            change(network[name])
            return network, note

        monkeypatch.setattr(layers, "build_ours", planted)

    return plant


def test_every_row_is_compared_and_none_diverges_in_float32():
    found = against_torch()
    assert [row["name"] for row in found["layers"]] == NAMES
    assert found["first_divergence"] is None
    assert not found["diverges"]
    for row in [found["preprocess"], *found["layers"]]:
        assert 0 <= row["local_error"] <= row["bound"]
        assert 0 <= row["local_gradient_error"] <= row["bound"]
    # two implementations of float32: were it exactly 0, one array would have been compared with itself
    assert by_name(found)["conv5_2"]["output_error"] > by_name(found)["conv1_1"]["output_error"] > 0
    assert found["framework"] == "torch"
    assert found["network"] == "vgg11"
    assert found["size"] == [32, 40]


@pytest.mark.parametrize("preset", ["gatys", "paper", "neural-style", "neural-style-pt"])
def test_float64_agrees_to_rounding_in_every_preset(preset):
    found = against_torch(dtype="float64", preset=preset)
    assert found["first_divergence"] is None
    assert found["image_gradient_error"] < 1e-10
    assert found["loss_error"] < 1e-12
    assert max(row["gradient_error"] for row in found["layers"]) < 1e-10
    assert max(found["losses"].values()) < 1e-12


def test_the_algorithm_is_named_and_has_its_bound():
    rows = by_name(against_torch(algorithm="winograd"))
    assert rows["conv2_1"]["algorithm"] == "winograd"
    assert rows["conv2_1"]["bound"] == BOUNDS["float32"]["winograd"]
    rows = by_name(against_torch(algorithm="matmul"))
    assert rows["conv2_1"]["algorithm"] == "matmul"
    assert rows["conv2_1"]["bound"] == BOUNDS["float32"]["sum"] < BOUNDS["float32"]["winograd"]


def test_a_wrong_pooling_backward_is_found_in_the_first_pool(monkeypatch):
    right = max_pool.input_gradient

    def scaled(dy, *arguments, out):
        dx = right(dy, *arguments, out=out)
        dx *= dx.dtype.type(1 + 1e-5)
        return dx

    monkeypatch.setattr(max_pool, "input_gradient", scaled)
    found = against_torch()
    assert found["first_divergence"] == "pool1"
    assert [row["name"] for row in found["layers"] if row["diverges"]] == [f"pool{i}" for i in range(1, 6)]
    assert by_name(found)["pool1"]["local_error"] == 0  # the pass forward is right


def test_a_wrong_weight_is_found_in_its_row_alone(plant):
    def change(module):
        module.weight = module.weight.copy()
        module.weight[1, 1, 0, 0] += 0.1

    plant("conv3_1", change)
    found = against_torch()
    assert [row["name"] for row in found["layers"] if row["diverges"]] == ["conv3_1"]
    assert found["first_divergence"] == "conv3_1"
    # the rows behind carry the error along, those before are reached by it on the way back alone
    rows = by_name(found)
    assert rows["pool5"]["output_error"] > 1e-4
    assert rows["pool2"]["output_error"] < 1e-5
    assert rows["conv1_1"]["gradient_error"] > 1e-4


def test_a_lost_border_in_a_backward_is_found_in_its_row(plant):
    def change(module):
        right = module.update_grad_input

        def lost(x, dy):
            dx = right(x, dy)
            dx[:, :, -1] = 0
            return dx

        module.update_grad_input = lost

    plant("conv2_1", change)
    found = against_torch(dtype="float64")
    assert found["first_divergence"] == "conv2_1"
    row = by_name(found)["conv2_1"]
    assert row["local_error"] < 1e-11
    assert row["local_gradient_error"] > 1e-3


def test_values_that_are_not_finite_diverge_and_have_no_number(plant):
    def change(module):
        module.bias = np.full_like(module.bias, np.nan)

    plant("conv1_1", change)
    found = against_torch()
    assert found["first_divergence"] == "conv1_1"
    assert by_name(found)["conv1_1"]["local_error"] is None


def test_a_loss_whose_gradient_is_missing_is_found_in_the_objective(monkeypatch):
    monkeypatch.setattr(TotalVariation, "add_gradient", lambda self, x, dx: None)
    found = against_torch(dtype="float64", preset="neural-style-pt")
    assert found["first_divergence"] is None
    assert found["loss_error"] < 1e-12
    assert found["image_gradient_error"] > 1e-8
    assert found["objective_diverges"]
    assert found["diverges"]


def test_a_wrong_loss_is_named(monkeypatch):
    right = TotalVariation.measure
    monkeypatch.setattr(TotalVariation, "measure", lambda self, x: 1.01 * right(self, x))
    losses = against_torch(dtype="float64", preset="neural-style-pt")["losses"]
    assert losses.pop("tv") == pytest.approx(0.01)
    assert max(losses.values()) < 1e-12


def test_choices_that_changed_are_counted(plant):
    def change(module):
        module.bias = module.bias + np.float32(20)  # lifts many values over zero

    plant("conv1_1", change)
    rows = by_name(against_torch())
    assert rows["relu1_1"]["choices_changed"] > 1000
    assert rows["relu1_1"]["local_error"] == 0  # fed the same, it chooses the same
    assert rows["conv1_1"]["choices_changed"] is None


@pytest.mark.parametrize("network", ["vgg11", "squeezenet", "googlenet-caffe"])
def test_the_chain_is_the_network_itself(network):
    config = run_config(SMALL | {"dtype": "float64", "network": network})
    ours = OurLayers(config)
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (1, *SIZE, 3))
    dy = rng.standard_normal(ours.output_shape(image.shape))
    chain = run_chain(ours, wiring(config), image, dy)
    network, _ = layers.build_ours(config)
    np.testing.assert_array_equal(chain.values[-1], network.forward(image))
    # the gradients of branches are added in another order
    np.testing.assert_allclose(chain.gradients[0], network.backward(image, dy), rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("network", ["squeezenet", "googlenet", "alexnet-caffe"])
def test_no_row_of_a_network_with_branches_or_groups_diverges(network):
    options = SMALL | {"dtype": "float64", "network": network}
    report = compare(run_config(options), (64, 67), ["torch"], costs=False)
    (found,) = report["frameworks"]
    assert not report["diverges"]
    assert [row["name"] for row in found["layers"]] == get_network(network).without_top().names
    assert found["image_gradient_error"] < 1e-10


def test_a_row_inside_a_branch_that_diverges_is_named(plant):
    def change(module):
        module.bias = module.bias + np.float32(1e-3)

    plant("fire2/expand3x3", change)
    report = against_torch(network="squeezenet")
    assert report["first_divergence"] == "fire2/expand3x3"


def test_the_threads_of_pytorch_are_given_back():
    before = torch.get_num_threads()
    with layers.TorchLayers(run_config(SMALL)).session(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_error_is_relative_to_the_reference():
    assert relative_error([3.0, 0.0], [4.0, 0.0]) == 0.25
    assert relative_error([0.0], [0.0]) == 0
    assert relative_error([1.0], [0.0]) == np.inf
    assert relative_error([np.nan], [np.nan]) == np.inf
    assert relative_error([1.0], [1.0, 1.0]) == np.inf


def test_an_unknown_framework_is_refused():
    with pytest.raises(UsageError, match="did you mean 'torch'"):
        compare(run_config(SMALL), SIZE, ["torhc"])


def test_an_image_that_is_too_small_is_refused():
    with pytest.raises(UsageError, match="31 x 40"):
        compare(run_config(SMALL), (31, 40), ["torch"])


@pytest.mark.parametrize("side", ["ours", "torch"])
def test_costs_are_those_of_a_process_of_its_own(side):
    cost = compare_cost.measure(side, run_config(SMALL), SIZE)
    assert cost["seconds"] > 0
    if cost["peak_mb"] is not None:
        # vgg11 up to pool5 has 9.2 million parameters, 35 MiB
        assert cost["peak_mb"] > cost["imported_mb"] + 30


def test_a_process_that_fails_is_one_line(monkeypatch):
    def fail(*arguments, **options):
        return subprocess.CompletedProcess(arguments, 1, "", "Traceback\nMemoryError: no more\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(ResourceError, match="exit code 1: MemoryError: no more") as error:
        compare_cost.measure("ours", dataclasses.replace(run_config(SMALL), size=32), SIZE)
    assert "\n" not in str(error.value)
