"""Row 30: a run that goes on ends with the bytes of one that was never interrupted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from smooth_pictures import smooth_picture
from whole_files import NETWORK, TINY, call, log_records, make_inputs, pixels_of, quick_runs, temporaries

from nst_manual.config import OPTIMIZERS, run_config
from nst_manual.errors import DivergedError
from nst_manual.images import save_image
from nst_manual.objective import Objective
from nst_manual.run import keeper as keepers
from nst_manual.run.checkpoint import previous_of, read_checkpoint, write_checkpoint
from nst_manual.run.keeper import Keeper
from nst_manual.run.scales import Course, paint

CONTENT, STYLE = smooth_picture(0, 24, 32), smooth_picture(1, 30, 28)
PAINTED = {"network": "squeezenet", "style_layers": "relu1", "content_layers": "relu1", "threads": 1}
PAINTED |= {"size": 32, "scales": 3, "scale_factor": 1.4, "scale_iterations": "3,2,3"}
OWN = [name for name in OPTIMIZERS if name != "lbfgs-scipy"]
COURSES = [{"optimizer": name} for name in OWN]
COURSES += [{"optimizer": name, "scale_state": "carried"} for name in OWN]
COURSES += [
    {"optimizer": "gradient-descent", "backtracking": True, "scale_state": how} for how in ("new", "carried")
]
COURSES += [{"optimizer": name, "averaging": 0.9} for name in ("lbfgs", "adam", "nesterov")]
COURSES += [
    {"optimizer": "momentum", "schedule": "warm-up@3,step:0.5@5", "bounds": "0,255"},
    {"optimizer": "lbfgs", "history": 2, "bounds": "none", "scale_state": "carried"},
    {"optimizer": "lbfgs", "tolerance": 0.2, "patience": 1},
    {"optimizer": "adam", "tolerance": 0.02, "patience": 2, "learning_rate": 30},
    {"optimizer": "lbfgs", "init": "noise", "seed": 3, "dtype": "float64", "keep_colours": "lab"},
]
KEEPS = ["--checkpoint", "run.h5", "--checkpoint-every", "0"]


@pytest.fixture(autouse=True)
def quick():
    with quick_runs():
        yield


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """The paths of a photograph and a painting; the current folder is empty."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return make_inputs(tmp_path / "inputs")


def without_seconds(history):
    return [{key: value for key, value in record.items() if key != "seconds"} for record in history]


def kept_copies(monkeypatch):
    """Let a copy of each checkpoint stay, as it would be after kill -9; return their names."""
    copies = []

    def write(path, checkpoint):
        write_checkpoint(path, checkpoint)
        copies.append(f"copy-{len(copies)}.h5")
        shutil.copyfile(path, copies[-1])

    monkeypatch.setattr(keepers, "write_checkpoint", write)
    return copies


def ended(arguments, code=0):
    """Run the program, hold its exit code and the number of error lines; return what it said."""
    found, said = call(arguments)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert (found, len(errors)) == (code, int(code != 0)), said
    assert "Traceback" not in said
    assert not temporaries(os.listdir("."))
    return said


@pytest.mark.fault(30)
@pytest.mark.parametrize("options", COURSES, ids=lambda o: " ".join(str(value) for value in o.values()))
def test_from_every_interruption_to_the_same_bits(options, tmp_path, monkeypatch):
    """For every own optimiser, after each iteration of each of three scales, and between them."""
    monkeypatch.chdir(tmp_path)
    copies = kept_copies(monkeypatch)
    config = run_config(PAINTED | options)
    whole = paint(CONTENT, [STYLE], config, course=Course(keeper=Keeper(Path("run.h5"), 0, {})))
    monkeypatch.undo()
    assert len(copies) >= (3 if "tolerance" in options else 9)
    for copy in copies:
        checkpoint = read_checkpoint(tmp_path / copy)
        again = paint(CONTENT, [STYLE], config, course=Course(checkpoint=checkpoint))
        where = checkpoint.scale, checkpoint.snapshot.iterations
        np.testing.assert_array_equal(again.pixels, whole.pixels, str(where))
        assert (again.loss, again.losses, again.saved_loss) == (whole.loss, whole.losses, whole.saved_loss), (
            where
        )
        assert (again.iterations, again.message, again.place) == (
            whole.iterations,
            whole.message,
            whole.place,
        ), where
        assert without_seconds(again.history) == without_seconds(whole.history), where


@pytest.mark.fault(30)
def test_one_that_diverges_later_has_the_best_picture_of_before(tmp_path, monkeypatch):
    """The second evaluation has the lowest loss, the fifth has none: after any checkpoint in between."""
    monkeypatch.chdir(tmp_path)
    seen = {}

    def fake(self, image, real=Objective.__call__):
        number = seen.setdefault(image.tobytes(), len(seen) + 1)
        _, dx = real(self, image)
        if number == 5:
            raise DivergedError("style/relu1", "the loss is nan")
        return (1.0 if number == 2 else 9.0), dx

    monkeypatch.setattr(Objective, "__call__", fake)
    copies = kept_copies(monkeypatch)
    config = run_config(PAINTED | {"optimizer": "adam", "scales": 1, "scale_iterations": "9"})
    whole = paint(CONTENT, [STYLE], config, course=Course(keeper=Keeper(Path("run.h5"), 0, {})))
    assert str(whole.stopped) == "diverged at iteration 5, style/relu1: the loss is nan"
    assert whole.moved.tobytes() == list(seen)[1]
    assert len(copies) == 5
    for copy in copies:
        again = paint(CONTENT, [STYLE], config, course=Course(checkpoint=read_checkpoint(copy)))
        assert str(again.stopped) == str(whole.stopped)
        np.testing.assert_array_equal(again.moved, whole.moved)


@pytest.mark.fault(30)
def test_every_file_is_that_of_the_uninterrupted_run(pictures, monkeypatch):
    """The picture to its last byte, the log but for its seconds, the sheet, the pictures on the way."""
    copies = kept_copies(monkeypatch)
    more = [
        "--log",
        "log.jsonl",
        "--progress-sheet",
        "sheet.png",
        "--save-every",
        "2",
        "--no-manifest",
        "--quiet",
    ]
    ended(["run", *pictures, "-o", "out.png", *TINY, *KEEPS, *more])
    made = {
        name: Path(name).read_bytes() for name in ("out.png", "sheet.png", "out-0002.png", "out-0004.png")
    }
    records = log_records(Path("log.jsonl"))
    assert len(copies) == 5
    for copy in copies[:5]:
        for name in ("run.h5", "log.jsonl", "out.png", *(["sheet.png"] if copy != copies[4] else [])):
            Path(name).unlink()
        shutil.copyfile(copy, "run.h5")
        ended(["resume", "run.h5", "--quiet"])
        assert {name: Path(name).read_bytes() for name in made} == made
        assert log_records(Path("log.jsonl")) == records
    assert not os.path.exists("run.previous.h5")


@pytest.mark.fault(30)
def test_a_finished_run_gives_the_same_picture_again_and_takes_more_iterations(pictures):
    one = ["--scales", "1"]
    options = ["-o", "out.png", *NETWORK, "--size", "32", *one, "--quiet"]
    ended(["run", *pictures, *options, "--iterations", "5"])
    expected = pixels_of("out.png")
    ended(["run", *pictures, *options, "--iterations", "2", *KEEPS])
    short = pixels_of("out.png")
    ended(["resume", "run.h5", "-o", "again.png", "--quiet"])
    np.testing.assert_array_equal(pixels_of("again.png"), short)
    ended(["resume", "run.h5", "--iterations", "5", "--quiet"])
    np.testing.assert_array_equal(pixels_of("out.png"), expected)


@pytest.mark.fault(30)
def test_other_options_are_refused_by_name(pictures):
    ended(["run", *pictures, "-o", "out.png", *TINY, *KEEPS, "--quiet"])
    before = {name: Path(name).read_bytes() for name in os.listdir(".")}
    said = ended(["resume", "run.h5", "--style-weight", "7", "--size", "40", "--optimizer", "adam"], 2)
    for name in ("--style-weight", "--size", "--optimizer"):
        assert name in said
    assert "got 7" in said and "the checkpoint has 32, got 40" in said
    # at several sizes, more iterations at the first would have led elsewhere
    assert "--iterations" in ended(["resume", "run.h5", "--iterations", "9"], 2)
    assert {name: Path(name).read_bytes() for name in os.listdir(".")} == before
    ended(
        ["resume", "run.h5", "--optimizer", "lbfgs", "--size", "32", "--quiet"]
    )  # the same may be said again


OTHERS = {"network": "vgg11", "preset": "paper", "size": 48, "iterations": 3, "scales": 1, "seed": 9}
OTHERS |= {"scale_factor": 1.3, "scale_iterations": "2,3", "scale_state": "carried", "optimizer": "momentum"}
OTHERS |= {
    "schedule": "cosine",
    "averaging": 0.5,
    "tolerance": 0.1,
    "patience": 5,
    "history": 3,
    "bounds": "none",
}
OTHERS |= {
    "learning_rate": 2.5,
    "noise_std": 3,
    "tv_weight": 0.5,
    "content_layers": "relu1:2",
    "style_size": 30,
}
OTHERS |= {"style_layers": "fire2", "keep_colours": "lab", "pooling": "average", "dtype": "float64"}


@pytest.mark.fault(30)
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_each_option_of_the_picture_is_one_that_must_be_the_same(pictures, optimizer):
    ended(["run", *pictures, "-o", "out.png", *TINY, *KEEPS, "--quiet", "--optimizer", optimizer])
    for name, value in OTHERS.items():
        flag = "--" + name.replace("_", "-")
        said = ended(["resume", "run.h5", flag, str(value)], 2)
        assert said.startswith(f"error: {flag}: "), said


@pytest.mark.fault(30)
def test_a_photograph_that_is_gone_or_another_is_named(pictures, monkeypatch):
    copies = kept_copies(monkeypatch)
    ended(["run", *pictures, "-o", "out.png", *TINY, *KEEPS, "--quiet"])
    expected = pixels_of("out.png")
    moved = pictures[0] + ".moved.png"
    os.rename(pictures[0], moved)
    said = ended(["resume", copies[2]], 3)
    assert "content photo.png: is neither at " in said
    save_image(pictures[0], smooth_picture(5, 24, 32))
    assert "content photo.png: has been changed" in ended(["resume", copies[2]], 3)
    ended(["resume", copies[2], moved, "--quiet"])
    np.testing.assert_array_equal(pixels_of("out.png"), expected)


@pytest.mark.fault(30)
def test_other_weights_are_refused(pictures, monkeypatch, tmp_path):
    from nst_manual.store import find_weights

    copies = kept_copies(monkeypatch)
    weights = str(tmp_path / "mine.h5")
    shutil.copyfile(find_weights("squeezenet"), weights)
    ended(["run", *pictures, "-o", "out.png", *TINY, *KEEPS, "--weights", weights, "--quiet"])
    os.rename(weights, weights + ".elsewhere")
    assert "weights mine.h5: is neither at" in ended(["resume", copies[1]], 4)
    with open(weights + ".elsewhere", "rb") as file:
        data = bytearray(file.read())
    data[-100] ^= 1
    Path(weights).write_bytes(data)
    assert "weights mine.h5: has been changed" in ended(["resume", copies[1]], 4)


@pytest.mark.fault(30)
def test_scipys_lbfgs_says_that_it_begins_anew(pictures, monkeypatch):
    copies = kept_copies(monkeypatch)
    ended(["run", *pictures, "-o", "out.png", *TINY, *KEEPS, "--optimizer", "lbfgs-scipy", "--quiet"])
    said = ended(["resume", copies[1]])
    assert "SciPy's L-BFGS keeps its history to itself, and begins anew" in said
    assert "resumed  after iteration 1" in said


class TestDamaged:
    """A checkpoint that is damaged in any way is not gone on from."""

    @pytest.fixture
    def interrupted(self, pictures, monkeypatch):
        """A run that was killed after its third iteration: both its checkpoints are there."""
        copies = kept_copies(monkeypatch)
        ended(["run", *pictures, "-o", "out.png", *TINY, *KEEPS, "--quiet"])
        monkeypatch.setattr(keepers, "write_checkpoint", write_checkpoint)
        expected = pixels_of("out.png")
        data = Path(copies[3]).read_bytes()
        before = Path(copies[2]).read_bytes()
        for name in os.listdir("."):
            os.unlink(name)
        return data, before, expected

    def damaged(self, data):
        rng = np.random.default_rng(0)
        for size in (0, 1, 30, 100, 511, 512, 513, 2000, len(data) // 2, len(data) - 1):
            yield f"cut to {size}", data[:size]
        # the last byte of the header says whether the picture is saved, and is none of the checkpoint's
        places = [0, 29, 40, 101, 512, 520, 600, len(data) - 1, *rng.integers(512, len(data), 12).tolist()]
        for place in places:
            changed = bytearray(data)
            changed[place] ^= 1 << int(rng.integers(8))
            yield f"a bit of byte {place}", bytes(changed)
        yield "longer", data + b"\0"
        yield "zeros", bytes(len(data))
        yield "text", b"not a checkpoint\n" * 100

    @pytest.mark.fault(30)
    def test_the_one_before_is_taken_and_it_is_said(self, interrupted):
        data, before, expected = interrupted
        for number, (how, bad) in enumerate(self.damaged(data)):
            Path("run.h5").write_bytes(bad)
            previous_of("run.h5").write_bytes(before)
            said = ended(["resume", "run.h5", "--quiet"])
            assert (
                "warning: checkpoint run.h5: " in said
                and "the one before it is taken, after iteration 2" in said
            )
            np.testing.assert_array_equal(pixels_of("out.png"), expected, how)
            assert Path("run.damaged.h5").read_bytes() == bad, how  # put aside, not lost
            assert read_checkpoint("run.h5").snapshot.iterations == 2  # of the second scale
            assert number or not os.path.exists("run.previous.h5")

    @pytest.mark.fault(30)
    def test_without_one_it_ends(self, interrupted):
        data, _, _ = interrupted
        for how, bad in self.damaged(data):
            Path("run.h5").write_bytes(bad)
            said = ended(["resume", "run.h5", "--quiet"], 2)
            assert "run.h5: " in said, how
            assert os.listdir(".") == ["run.h5"] and Path("run.h5").read_bytes() == bad, how

    @pytest.mark.fault(30)
    def test_both_damaged(self, interrupted):
        data, before, _ = interrupted
        Path("run.h5").write_bytes(data[:-1])
        previous_of("run.h5").write_bytes(before[:-1])
        assert "run.h5: is truncated or damaged" in ended(["resume", "run.h5"], 2)
        assert Path("run.h5").read_bytes() == data[:-1]

    @pytest.mark.fault(30)
    def test_missing(self, interrupted):
        _, before, expected = interrupted
        assert "none.h5: cannot be read, No such file" in ended(["resume", "none.h5"], 2)
        previous_of("run.h5").write_bytes(before)
        said = ended(["resume", "run.h5", "--quiet"])
        assert "the one before it is taken" in said
        np.testing.assert_array_equal(pixels_of("out.png"), expected)


@pytest.mark.fault(30)
def test_in_processes_of_their_own(program, folder):
    """What the tests above do in one process: stopped by its own clock, resumed, and the same file."""
    options = [
        "photo.png",
        "painting.png",
        *NETWORK,
        "--size",
        "48",
        "--no-manifest",
        "--quiet",
        "--iterations",
    ]
    program.paints("run", *options, "6", "-o", "whole.png")
    program.paints("run", *options, "3", "-o", "out.png", *KEEPS)
    program.paints("resume", "run.h5", "--iterations", "6")
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()
    error = program.refuses(2, "resume", "run.h5", "--seed", "4")
    assert "--seed: the checkpoint has" in error and "got 4" in error
