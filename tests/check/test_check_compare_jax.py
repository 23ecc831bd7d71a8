"""JAX's network and objective are ours once more; and with PyTorch beside it, a vote says who is wrong."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from smooth_pictures import random_start, smooth_picture

from nst_manual import Objective
from nst_manual.check import compare_cost, layers
from nst_manual.check.compare import compare
from nst_manual.check.diagnosis import relative_error
from nst_manual.check.jax_network import JaxNetwork, import_jax, precision
from nst_manual.check.jax_objective import JaxObjective
from nst_manual.config import run_config
from nst_manual.errors import ShapeError, UsageError
from nst_manual.nets import NETWORKS, rows
from nst_manual.nn.build import MODULES, POOLINGS
from nst_manual.threads import thread_limit

jax = pytest.importorskip("jax", reason='comparison with JAX: pip install "jax[cpu]"')

CONTENT, STYLE, OTHER_STYLE = smooth_picture(0, 35, 48), smooth_picture(1, 40, 46), smooth_picture(2, 48, 33)
START = random_start(3, (1, 35, 48, 3))
SIZE = 17, 22
SMALL = {"network": "vgg11", "weights": "random", "dtype": "float64"}
FEW = {"content_layers": "relu2_1", "style_layers": "conv1_1,pool1:0.3,relu2_1"}


@pytest.fixture
def short(monkeypatch):
    """Let vgg11 end with relu3_1: the time goes into compiling the rows."""
    monkeypatch.setitem(NETWORKS, "vgg11", NETWORKS["vgg11"].upto("relu3_1"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Run products on one thread: of small matrices it is the fastest."""
    with thread_limit(1):
        yield


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "gatys"},
        {"preset": "paper", "content_layers": "conv2_1", "style_layers": "conv1_1,conv2_1"},
        {"preset": "neural-style"},
        {"preset": "neural-style-pt", "dtype": "float32"},
        {"preset": "gatys", "content_weight": 0, "style_weight": 0, "tv_weight": 1},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_loss_and_gradient_are_ours(options):
    options = SMALL | {"size": 48} | FEW | options
    ours, theirs = Objective(CONTENT, [STYLE], **options), JaxObjective(CONTENT, [STYLE], **options)
    (loss, dx), (other_loss, other_dx) = ours(START), theirs(START)
    bound = 1e-12 if options["dtype"] == "float64" else 1e-5
    assert other_dx.dtype == options["dtype"]
    assert relative_error(loss, other_loss) < bound
    assert relative_error(dx, other_dx) < 100 * bound
    assert theirs.losses == pytest.approx(ours.losses, rel=10 * bound)


def test_several_paintings_are_blended_alike():
    options = SMALL | {"size": 48, "style_blend": (3, 1), "style_size": 40} | FEW
    paintings = [STYLE, OTHER_STYLE]
    loss, dx = Objective(CONTENT, paintings, **options)(START)
    other_loss, other_dx = JaxObjective(CONTENT, paintings, **options)(START)
    assert relative_error(loss, other_loss) < 1e-12
    assert relative_error(dx, other_dx) < 1e-10


def test_wrong_arguments_are_refused():
    with pytest.raises(UsageError, match="2 shares for 1 paintings"):
        JaxObjective(CONTENT, [STYLE], **SMALL, size=48, style_blend=(1, 1))
    with pytest.raises(ShapeError, match=r"expected shape \(1, 35, 48, 3\)"):
        JaxObjective(CONTENT, [STYLE], **SMALL, size=48, **FEW)(START[:, 1:])


def test_double_precision_is_left_as_it_was():
    before = jax.config.jax_enable_x64
    with precision("float64"):
        assert jax.numpy.ones(1, float).dtype == "float64"
    assert jax.numpy.ones(1, "float32").dtype == "float32"
    assert jax.config.jax_enable_x64 == before


ROWS = [
    (rows.Conv("conv1_1", 6, 3, stride=2, padding=1, dilation=2, groups=2), "max"),
    (rows.Conv("conv1_1", 6, 2, stride=1, padding=0), "max"),
    (rows.MaxPool("pool1", 3, 2, 1, ceil_mode=True), "max"),
    (rows.MaxPool("pool1", 2, 2), "max"),
    (rows.MaxPool("pool1", 2, 2), "max-ceil"),
    (rows.MaxPool("pool1", 3, 2, 1, ceil_mode=True), "average"),
    (rows.MaxPool("pool1", 3, 2), "average"),
    (rows.ReLU("relu1_1"), "max"),
]


@pytest.mark.parametrize(("row", "pooling"), ROWS, ids=lambda value: str(value))
def test_every_geometry_of_a_row_is_ours(row, pooling):
    rng = np.random.default_rng(0)
    # few values: zeros for the ReLU, ties for the max-pool
    x = rng.integers(-2, 3, (1, 8, 11, 4)).astype(float)
    groups = getattr(row, "groups", 1)
    k = getattr(row, "kernel_size", 1)
    parameters = rng.standard_normal((k, k, 4 // groups, 6)), rng.standard_normal(6)
    if isinstance(row, rows.MaxPool):
        ours = POOLINGS[pooling](row)
    else:
        ours = MODULES[type(row)](row, parameters)
    y = ours.forward(x)
    dy = rng.standard_normal(y.shape)
    network = JaxNetwork(run_config(SMALL | {"pooling": pooling}), ["relu1_1"])
    with precision("float64"):
        other_y, vjp = jax.vjp(lambda x: network.apply(row, x, {"conv1_1": parameters}), x)
        (other_dx,) = vjp(dy)
    np.testing.assert_allclose(other_y, y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(other_dx, ours.backward(x, dy), rtol=1e-12, atol=1e-12)


def test_a_row_without_counterpart_is_named():
    network = JaxNetwork(run_config(SMALL), ["relu1_1"])
    with pytest.raises(UsageError, match="softmax: Softmax has no counterpart in JAX"):
        network.apply(rows.Softmax("softmax"), np.ones((1, 2)), {})


def test_a_missing_jax_is_one_line_with_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(UsageError, match=r"jax: JAX is not installed \(pip install"):
        import_jax()


@pytest.mark.usefixtures("short")
def test_no_row_diverges_from_jax():
    options = SMALL | {"preset": "paper", "content_layers": "conv2_1", "style_layers": "conv1_1,conv2_1"}
    report = compare(run_config(options), SIZE, ["jax"], costs=False)
    (found,) = report["frameworks"]
    assert not report["diverges"]
    assert found["framework"] == "jax"
    assert found["image_gradient_error"] < 1e-10
    assert max(row["local_gradient_error"] for row in found["layers"]) < 1e-12
    assert "votes" not in report


def test_costs_are_measured():
    cost = compare_cost.measure("jax", run_config(SMALL | {"threads": 1}), (32, 33))
    assert cost["seconds"] > 0


class Wrong:
    """Rows of which one has a wrong output."""

    def __init__(self, right, name):
        self.right, self.wrong = right, right.names.index(name)
        self.names, self.note, self.session = right.names, right.note, right.session

    def run(self, index, *inputs):
        y, pullback = self.right.run(index, *inputs)
        return y * (1.001 if index == self.wrong else 1), pullback


def vote_with(monkeypatch, who, name):
    """Return the report of a comparison in which one of the three has a wrong row."""
    pytest.importorskip("torch")
    if who == "ours":
        build = layers.build_ours

        def planted(config):
            network, note = build(config)
            network[name].bias = network[name].bias + 1
            return network, note

        monkeypatch.setattr(layers, "build_ours", planted)
    else:
        make = layers.FRAMEWORKS[who]
        monkeypatch.setitem(layers.FRAMEWORKS, who, lambda config: Wrong(make(config), name))
    return compare(run_config(SMALL | FEW), SIZE, ["torch", "jax"], costs=False)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("who", "name"), [("ours", "conv3_1"), ("torch", "pool2"), ("jax", "conv1_1")])
def test_the_vote_names_the_one_that_stands_alone(monkeypatch, who, name):
    report = vote_with(monkeypatch, who, name)
    votes = {vote["name"]: vote for vote in report["votes"]}
    assert votes[name]["alone"] == who
    assert [vote["name"] for vote in report["votes"] if not vote["agree"]] == [name]
    assert set(votes[name]["output"]) == {"ours-torch", "ours-jax", "torch-jax"}
    assert report["diverges"]
    first = {found["framework"]: found["first_divergence"] for found in report["frameworks"]}
    assert first == {other: name if who in ("ours", other) else None for other in ("torch", "jax")}
