"""A run whose image stays on the GPU, which is a stand-in here: what leaves it, and when."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from nst_manual.backend import array_module, numbers, on_gpu, to_device
from nst_manual.config import run_config
from nst_manual.errors import DivergedError, ResourceError
from nst_manual.run import run_job
from nst_manual.run.checkpoint import read_checkpoint
from nst_manual.run.events import Observer
from nst_manual.run.job import Part, StoppedError
from nst_manual.run.keeper import Keeper
from nst_manual.run.observers import Log

SIZE = (6, 7)
PICTURE = 4 * SIZE[0] * SIZE[1] * 3  # bytes
MOST_BYTES = 200
OPTIMIZERS = {
    "lbfgs": {},
    "lbfgs-free": {"optimizer": "lbfgs", "bounds": "none"},
    "adam": {"learning_rate": 5.0},
    "adagrad": {},
    "nesterov": {"bounds": "0,255"},
    "gradient-descent": {},
    "backtracking": {"optimizer": "gradient-descent", "backtracking": True},
    "averaged": {"optimizer": "adam", "averaging": 0.9},
}
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


class Moments:
    """An objective without a network: pixels near a target, and their mean and spread near some numbers."""

    algorithms = {"conv1": "none"}

    def __init__(self, device, seed=0, size=SIZE):
        rng = np.random.default_rng(seed)
        self.device, self.calls, self.fault = device, 0, lambda call, loss, gradient: (loss, gradient)
        self.content = rng.uniform(0, 255, (*size, 3)).astype(np.float32)
        self.target = self.place(rng.uniform(-40, 300, (1, *size, 3)).astype(np.float32))
        self.weights = self.place((1 + 9 * rng.random((1, *size, 3))).astype(np.float32))
        self.network = SimpleNamespace(clear_state=lambda: None)
        self.losses = {}

    def place(self, image):
        return to_device(image) if self.device == "cuda" else image

    def measured(self, x, measures=lambda gradient: ()):
        assert on_gpu(x) == (self.device == "cuda")
        self.calls += 1
        xp = array_module(x)
        away, mean = x - self.target, x.mean(dtype=np.float64)
        losses = [(self.weights * away**2).sum(dtype=np.float64), xp.sin(mean / 50)]
        gradient = 2 * self.weights * away + (xp.cos(mean / 50) / (50 * x.size)).astype(x.dtype)
        losses, gradient = self.fault(self.calls, losses, gradient)
        near, moment, *values = numbers([*losses, *measures(gradient)])
        self.losses = {"near": near, "moment": moment}
        return near + moment, gradient, values

    def __call__(self, x):
        return self.measured(x)[:2]

    def measure(self, x):
        return self(self.place(x))[0]

    def measure_picture(self, picture):
        return self.measure(picture[None] if picture.ndim == 3 else picture)

    def picture(self, pixels):
        assert type(pixels) is np.ndarray
        return pixels

    def first_not_finite(self, x):
        return "at conv1"


class Bus(Observer):
    """Keeps what has gone over the bus by each event; asks for the pictures of some iterations."""

    def __init__(self, counts, asks=()):
        self.counts, self.asks, self.seen, self.pictures = counts, asks, [], {}
        self.losses = []

    def evaluation(self, event):
        self.losses.append(event.loss)
        counts = self.counts
        self.seen.append(
            (counts.synchronisations, counts.to_host, counts.bytes_to_host, counts.to_device, event.iteration)
        )

    def iteration(self, event):
        if event.number in self.asks:
            self.pictures[event.number] = event.image


def options(name, **others):
    found = {"optimizer": name, "size": 64, "iterations": 9, "threads": 1, **OPTIMIZERS[name], **others}
    return run_config(found)


def begin(seed=1):
    return np.random.default_rng(seed).uniform(0, 255, (*SIZE, 3)).astype(np.float32)


def steps(bus):
    """Return what was added to the counts from each evaluation to the next."""
    return np.diff(np.array(bus.seen)[:, :4], axis=0)


@every_optimizer
def test_nothing_but_numbers_leaves_the_device(standin, name, tmp_path):
    objective, bus = Moments("cuda"), Bus(standin.counts)
    outcome = run_job(objective, begin(), options(name), [bus, Log(tmp_path / "log.jsonl")])
    assert outcome.iterations == 9 and outcome.stopped is None
    assert len(bus.seen) >= 9
    first, *others = steps(bus).tolist()
    assert first[0] <= 3 and first[2] <= MOST_BYTES and first[3] == 0
    for synchronisations, fetched, nbytes, sent in others:
        assert (synchronisations, fetched, sent) == (1, 1, 0)
        assert nbytes <= MOST_BYTES


@every_optimizer
def test_the_outcome_is_on_the_host_and_that_of_numpy(standin, name):
    found = run_job(Moments("cuda"), begin(), options(name, dtype="float64"))
    expected = run_job(Moments("cpu"), begin(), options(name, dtype="float64"))
    for pixels in (found.pixels, found.moved):
        assert type(pixels) is np.ndarray
    np.testing.assert_allclose(found.moved, expected.moved, rtol=1e-11)
    assert found.loss == pytest.approx(expected.loss, rel=1e-11)
    assert found.saved_loss == pytest.approx(expected.saved_loss, rel=1e-11)
    assert [record["iteration"] for record in found.history] == [
        record["iteration"] for record in expected.history
    ]
    for a, b in zip(found.history, expected.history, strict=True):
        assert isinstance(a["loss"], float) and isinstance(a["gradient_norm"], float)
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-9)


def test_a_picture_comes_over_once_for_all_who_ask(standin):
    buses = [Bus(standin.counts, asks=(3, 5)), Bus(standin.counts, asks=(3,))]
    run_job(Moments("cuda"), begin(), options("adam"), buses)
    nbytes = {bus[4]: step[2] for bus, step in zip(buses[0].seen[1:], steps(buses[0]), strict=True)}
    few = nbytes[2]
    # between the evaluation of an iteration and that of the next
    assert {number: more - few for number, more in nbytes.items() if more != few} == {4: PICTURE, 6: PICTURE}
    assert buses[0].pictures[3] is buses[1].pictures[3]
    assert type(buses[0].pictures[3]) is np.ndarray
    expected = {}
    for end in (3, 5):
        expected[end] = run_job(Moments("cuda"), begin(), options("adam", iterations=end)).moved
        np.testing.assert_array_equal(buses[0].pictures[end], expected[end])


@every_optimizer
def test_a_run_goes_on_from_a_checkpoint_to_the_bit(standin, name, tmp_path):
    path, config = tmp_path / "run.h5", options(name)
    whole = run_job(Moments("cuda"), begin(), config)
    part = Part(keeper=Keeper(path, 1e9, {}), until=4)
    stopped = run_job(Moments("cuda"), begin(), config, part=part)
    assert isinstance(stopped.stopped, StoppedError)
    snapshot = read_checkpoint(path).snapshot
    assert snapshot.iterations == 4
    np.testing.assert_array_equal(snapshot.picture, stopped.moved)
    again = run_job(Moments("cuda"), begin(), config, part=Part(snapshot=snapshot))
    np.testing.assert_array_equal(again.moved, whole.moved)
    assert [record["loss"] for record in again.history] == [record["loss"] for record in whole.history]


def test_a_checkpoint_that_is_not_due_costs_nothing(standin, tmp_path):
    bus = Bus(standin.counts)
    part = Part(keeper=Keeper(tmp_path / "run.h5", 1e9, {}))
    run_job(Moments("cuda"), begin(), options("lbfgs"), [bus], part=part)
    assert steps(bus)[1:, 2].max() <= MOST_BYTES


def test_a_memory_stays_there_between_scales(standin):
    config = options("lbfgs", scale_state="carried", dtype="float64")
    ends = []
    for device in ("cuda", "cpu"):
        small = run_job(Moments(device), begin(), config)
        assert on_gpu(small.memory["s"]) == (device == "cuda")
        larger = np.repeat(np.repeat(small.moved, 2, 0), 2, 1)
        objective = Moments(device, size=larger.shape[:2])
        ends.append(run_job(objective, larger, config, part=Part(9, 18, small.memory)).moved)
    np.testing.assert_allclose(*ends, rtol=1e-10)


@pytest.mark.parametrize("name", ["lbfgs", "adam"])
def test_a_gradient_that_is_none_gives_back_the_best_picture(standin, name):
    objective, bus = Moments("cuda"), Bus(standin.counts)

    def fault(call, losses, gradient):
        return losses, gradient * np.float32(np.nan) if call == 4 else gradient

    objective.fault = fault
    outcome = run_job(objective, begin(), options(name), [bus])
    assert isinstance(outcome.stopped, DivergedError)
    assert "gradient at conv1: is not finite" in str(outcome.stopped)
    assert type(outcome.moved) is np.ndarray
    assert outcome.loss == min(bus.losses) == Moments("cuda").measure(outcome.moved[None])


def test_pixels_far_outside_are_told(standin):
    config = options("gradient-descent", learning_rate=1e4)
    outcome = run_job(Moments("cuda"), begin(), config)
    assert "picture: has pixel values of" in str(outcome.stopped)
    np.testing.assert_array_equal(outcome.moved, begin())


def test_without_memory_the_picture_before_is_kept(standin):
    objective = Moments("cuda")

    def fault(call, losses, gradient):
        if objective.calls == 4:
            raise array_module(gradient).cuda.memory.OutOfMemoryError(1, 2, 3)
        return losses, gradient

    expected = run_job(Moments("cuda"), begin(), options("adam", iterations=3)).moved
    objective.fault = fault
    outcome = run_job(objective, begin(), options("adam"))
    assert isinstance(outcome.stopped, ResourceError)
    np.testing.assert_array_equal(outcome.moved, expected)


def test_an_objective_of_the_host_needs_neither_place_nor_measured(standin):
    objective = Moments("cpu")
    plain = SimpleNamespace(
        **{name: getattr(objective, name) for name in ("content", "network", "algorithms", "picture")},
        **{name: getattr(objective, name) for name in ("measure", "measure_picture", "losses")},
    )

    class Called(SimpleNamespace):
        def __call__(self, x):
            return objective(x)

    plain = Called(**vars(plain))
    outcome = run_job(plain, begin(), options("lbfgs"))
    np.testing.assert_array_equal(outcome.moved, run_job(Moments("cpu"), begin(), options("lbfgs")).moved)
    assert standin.counts.to_device == 0


def test_the_first_picture_is_the_start(standin):
    seen = []

    class First(Observer):
        def start(self, event):
            seen.append(event.image)

    run_job(Moments("cuda"), begin(), options("adam", iterations=1), [First()])
    np.testing.assert_array_equal(seen[0], begin())
    assert type(seen[0]) is np.ndarray
