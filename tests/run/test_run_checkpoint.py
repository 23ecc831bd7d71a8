"""A checkpoint gives back what it was given, to the bit, and nothing that is damaged or made up by others."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tracemalloc

import h5py
import numpy as np
import pytest

from nst_manual.errors import OutputError
from nst_manual.run.checkpoint import (
    Checkpoint,
    DamagedError,
    Snapshot,
    check_replaceable,
    mark_saved,
    previous_of,
    read_checkpoint,
    write_checkpoint,
)
from nst_manual.run.keeper import Keeper

HEADER = 512


def made(iterations=3, **changes):
    """A checkpoint with everything in it that one can have."""
    rng = np.random.default_rng(iterations)
    picture = rng.uniform(-10, 300, (4, 5, 3)).astype(changes.pop("dtype", np.float32))
    snapshot = {
        "iterations": iterations,
        "picture": picture,
        "lowest_loss": 1 / 3,
        "lowest": picture[::-1].copy(),
        "history": [{"iteration": 1, "loss": 0.1, "losses": {"tv": 1e-300}, "size": [4, 5]}],
        "seconds": 1.5,
        "progress": {"lowest": [3.0, 1 / 3]},
        "optimizer": {
            "x": picture[None],
            "s": rng.normal(size=(2, 60)),
            "loss": 0.1,
            "iteration": iterations,
        },
        "message": "",
    } | changes
    before = {"iterations": 7, "seconds": 0.25, "history": [{"iteration": 7, "loss": 2.0}]}
    kept = {"progress sheet 0000 start": rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)}
    return Checkpoint(
        {"options": {"size": 5, "name": "\N{WATER WAVE}\ud800"}}, 1, before, Snapshot(**snapshot), kept
    )


def same(one, other):
    """Hold that two are the same in every bit and type."""
    assert type(one) is type(other), (one, other)
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            same(left, right)
    elif isinstance(one, float) and math.isnan(one):
        assert math.isnan(other)
    elif hasattr(one, "__dict__"):
        same(vars(one), vars(other))
    else:
        assert one == other


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dtype": np.float64},
        {"optimizer": None, "progress": {}, "history": []},
        {
            "optimizer": {
                "x": np.zeros((1, 4, 5, 3), np.float32),
                "s": np.zeros((0, 60), np.float32),
                "rate": 0.1,
            }
        },
        {"lowest_loss": math.inf, "optimizer": {"rate": math.nan, "loss": -math.inf, "averaged": 2**40}},
        {
            "optimizer": {
                "x": np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324]),
                "n": np.arange(3, dtype=np.int64),
            }
        },
        {"history": [{"loss": math.nan}], "message": "the loss fell by less than 1 %"},
    ],
)
def test_what_comes_back_is_what_was_given(tmp_path, changes):
    given = made(**changes)
    write_checkpoint(tmp_path / "run.h5", given)
    same(read_checkpoint(tmp_path / "run.h5"), given)
    assert os.listdir(tmp_path) == ["run.h5"]


def test_the_one_before_is_kept(tmp_path):
    path = tmp_path / "run.h5"
    for iterations in (1, 2, 3):
        write_checkpoint(path, made(iterations))
        assert read_checkpoint(path).snapshot.iterations == iterations
        if iterations > 1:
            assert read_checkpoint(previous_of(path)).snapshot.iterations == iterations - 1
    assert sorted(os.listdir(tmp_path)) == ["run.h5", "run.previous.h5"]
    assert os.stat(path).st_nlink == 1


@pytest.mark.parametrize("room", [0, 100, 512, 2000, 4000])
def test_a_file_that_cannot_be_written_leaves_both_as_they_were(tmp_path, room):
    """The system itself refuses to write further, as it does on a full disk."""
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    path = tmp_path / "run.h5"
    for iterations in (1, 2):
        write_checkpoint(path, made(iterations))
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    assert path.stat().st_size > 4000
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written, File too large"):
            write_checkpoint(path, made(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_a_keeper_warns_and_goes_on(tmp_path, monkeypatch):
    keeper = Keeper(tmp_path / "run.h5", 0, {"options": {}})
    keeper.keep(made(1).snapshot)
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.warns(UserWarning, match="No space left on device; the run goes on, the one before is kept"):
        keeper.keep(made(2).snapshot)
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "run.h5").snapshot.iterations == 1
    keeper.keep(made(2).snapshot)  # it is tried again
    assert read_checkpoint(tmp_path / "run.h5").snapshot.iterations == 2
    keeper.keep(made(2).snapshot)  # the same is not written twice
    assert read_checkpoint(previous_of(tmp_path / "run.h5")).snapshot.iterations == 1
    keeper.done()
    assert os.listdir(tmp_path) == ["run.h5"]


def test_a_keeper_that_could_write_nothing_lets_what_is_there_be(tmp_path, monkeypatch):
    """Begun with --force over the work of another run, on a disk that is full."""
    path = tmp_path / "run.h5"
    for iterations in (1, 2):
        write_checkpoint(path, made(iterations))
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    keeper = Keeper(path, 0, {"options": {}})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        keeper.keep(made(3).snapshot)
    assert not keeper.written
    keeper.done()
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_unfinished_work_and_other_files_are_not_replaced(tmp_path):
    path = tmp_path / "run.h5"
    check_replaceable(path)
    write_checkpoint(path, made())
    with pytest.raises(OutputError, match="is the checkpoint of a run that has not ended"):
        check_replaceable(path)
    os.rename(path, previous_of(path))
    with pytest.raises(OutputError, match="is the checkpoint of a run that has not ended"):
        check_replaceable(path)
    os.rename(previous_of(path), path)
    mark_saved(path)
    check_replaceable(path)
    same(read_checkpoint(path), made())
    path.write_bytes(b"letters to a friend")
    with pytest.raises(OutputError, match="exists, and is no checkpoint"):
        check_replaceable(path)


def test_every_byte_counts(tmp_path):
    path = tmp_path / "run.h5"
    write_checkpoint(path, made())
    data = path.read_bytes()
    end = data.index(b"\0")
    rng = np.random.default_rng(0)
    checked = [
        *range(end - 3),
        *rng.integers(HEADER, len(data), 60).tolist(),
    ]  # not the note at the header's end
    told = data.index(b"picture saved")
    for place in (place for place in checked if not told <= place < HEADER):
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(DamagedError):
            read_checkpoint(path)
    for size in (*range(0, HEADER, 50), *range(HEADER, len(data), 97)):
        path.write_bytes(data[:size])
        with pytest.raises(DamagedError):
            read_checkpoint(path)


def test_other_versions_are_told(tmp_path):
    path = tmp_path / "run.h5"
    write_checkpoint(path, made())
    path.write_bytes(path.read_bytes().replace(b"format 1\n", b"format 2\n", 1))
    with pytest.raises(DamagedError, match="has format 2, this version knows 1"):
        read_checkpoint(path)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"")])
def test_what_is_no_file(tmp_path, make):
    make(tmp_path / "run.h5")
    with pytest.raises(DamagedError):
        read_checkpoint(tmp_path / "run.h5")


# -- made up by somebody who knows the format, with a checksum that agrees ----------------------------


def signed(path, change):
    """Write a checkpoint, let `change` do what it wants to the open file, and sign it."""
    write_checkpoint(path, made())
    with h5py.File(path, "r+") as opened:
        change(opened)
    with open(path, "r+b") as file:
        file.seek(HEADER)
        total = hashlib.sha256(file.read()).hexdigest()
        file.seek(0)
        file.write(f"nst_manual checkpoint, format 1\nsha256 {total}\npicture saved: 0\n".encode())


def put(name, make):
    def change(opened):
        del opened[name]
        make(opened, name)

    return change


def text(value):
    return lambda opened, name: opened.create_dataset(name, data=np.frombuffer(value.encode(), np.uint8))


def about(**changes):
    def change(opened):
        found = json.loads(opened["run"][()].tobytes()) | changes
        put("run", text(json.dumps(found)))(opened)

    return change


def external(opened, name):
    with open("secret", "wb") as file:
        file.write(bytes(240))
    opened.create_dataset(name, (4, 5, 3), np.float32, external=[("secret", 0, 240)])


def virtual(opened, name):
    layout = h5py.VirtualLayout((4, 5, 3), np.float32)
    layout[...] = h5py.VirtualSource(opened["lowest"])
    opened.create_virtual_dataset(name, layout)


def linked(opened, name):
    opened[name] = h5py.ExternalLink("other.h5", "/picture")


HOSTILE = {
    "a picture of 40 TB": put("picture", lambda f, n: f.create_dataset(n, (10**6, 10**7, 3), np.float32)),
    "one of 40 TB in pieces": put(
        "picture", lambda f, n: f.create_dataset(n, (10**6, 10**7, 3), np.float32, chunks=(64, 64, 3))
    ),
    "one packed to nothing": put(
        "picture",
        lambda f, n: f.create_dataset(n, data=np.zeros((3000, 3000, 3), np.float32), compression="gzip"),
    ),
    "a picture elsewhere": put("picture", external),
    "a picture put together": put("picture", virtual),
    "a link to another file": put("picture", linked),
    "a link to nowhere": put("picture", lambda f, n: f.__setitem__(n, h5py.SoftLink("/none"))),
    "a group": put("picture", lambda f, n: f.create_group(n)),
    "a flat picture": put("picture", lambda f, n: f.create_dataset(n, data=np.zeros((4, 5), np.float32))),
    "four channels": put("lowest", lambda f, n: f.create_dataset(n, data=np.zeros((4, 5, 4), np.float32))),
    "whole numbers": put("picture", lambda f, n: f.create_dataset(n, data=np.zeros((4, 5, 3), np.int32))),
    "texts": put("picture", lambda f, n: f.create_dataset(n, data=np.full((4, 5, 3), b"abc"))),
    "objects": put("picture", lambda f, n: f.create_dataset(n, data=["a", "b"])),
    "no picture": lambda f: f.__delitem__("picture"),
    "an optimiser of 40 TB": lambda f: f["optimizer"].create_dataset("y", (10**13,), np.float32),
    "a huge picture of an observer": lambda f: f.create_dataset("kept/x", (10**6, 10**7, 3), np.uint8),
    "deep JSON": put("run", text("[" * 100_000)),
    "deep JSON that ends": put("history", text("[" * 100_000 + "]" * 100_000)),
    "no JSON": put("run", text("{'a': 1}")),
    "a list": put("run", text("[]")),
    "bytes that are no text": put("run", lambda f, n: f.create_dataset(n, data=np.full(9, 255, np.uint8))),
    "a number of many digits": put("history", text("[" + "9" * 100_000 + "]")),
    "no command": lambda f: put("run", text("{}"))(f),
    "a command that is none": about(command=3),
    "iterations that are none": about(iterations="many"),
    "iterations without end": about(iterations=math.inf),
    "a state that is none": about(progress=[1, 2]),
    "a past that is none": about(before=None),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_somebody_made_up_is_refused_and_nothing_allocated(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    signed(tmp_path / "run.h5", HOSTILE[how])
    tracemalloc.start()
    try:
        with pytest.raises(DamagedError):
            read_checkpoint(tmp_path / "run.h5")
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_a_made_up_one_that_is_right_is_read(tmp_path):
    """Or the tests above would prove nothing."""
    signed(tmp_path / "run.h5", about(iterations=2))
    assert read_checkpoint(tmp_path / "run.h5").snapshot.iterations == 2


def test_the_note_is_a_single_byte(tmp_path):
    path = tmp_path / "run.h5"
    write_checkpoint(path, made())
    before = path.read_bytes()
    mark_saved(path)
    after = path.read_bytes()
    assert [(a, b) for a, b in zip(before, after, strict=True) if a != b] == [(ord("0"), ord("1"))]
