"""Row 23: weight files made to do harm; nothing executed, nothing allocated, nothing written outside."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import whole_networks as whole

LIMIT = 400  # MB


@pytest.fixture(scope="module")
def arrays():
    return whole.bundled()


def frugal(program, *arguments):
    """Run in a process of its own; hold that it is refused with 4, and its peak memory; return the line."""
    code = "import resource, subprocess, sys\ncode = subprocess.call(sys.argv[1:])\n"
    code += "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\nsys.exit(code)"
    before = program.snapshot()
    done = subprocess.run(
        [sys.executable, "-c", code, sys.executable, "-m", "nst_manual", *arguments],
        cwd=program.folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 4 and len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    peak = int(done.stdout.split()[-1]) >> (20 if sys.platform == "darwin" else 10)
    assert peak < LIMIT, f"{peak} MB"
    assert program.snapshot() == before
    program.seen.append(f"4: {lines[0]}; peak {peak} MB")
    return lines[0]


@pytest.mark.fault(23)
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_malicious_pickle(program, folder, arrays, form):
    import pickle

    from test_store_pth import HOSTILE
    from test_store_pth import program as pickled

    attack = HOSTILE["GLOBAL"][0].replace(b"MARKER", b"marker")
    pickle.loads(pickled(attack))
    assert (folder / "marker").exists()  # it would work
    (folder / "marker").unlink()
    whole.write_pth(folder / "x.pth", arrays, form, attack)
    for command in (whole.RUN + ("--weights", "x.pth"), ("weights", "check", "x.pth")):
        line = program.refuses(4, *command)
        assert "refers to os.system" in line and "nothing was executed" in line
    program.refuses(4, "weights", "convert", "x.pth", "new.h5")


class Hostile:
    """Pickled, it makes a file when it is read."""

    def __reduce__(self):
        return os.system, ("touch marker",)


@pytest.mark.fault(23)
def test_an_array_of_objects(program, folder, arrays):
    np.save("x.npy", np.array([Hostile()], object), allow_pickle=True)
    np.load("x.npy", allow_pickle=True)
    assert (folder / "marker").exists()  # it would work
    (folder / "marker").unlink()
    assert "is a single array (.npy)" in program.refuses(4, *whole.RUN, "--weights", "x.npy")
    whole.write_npz(folder / "x.npz", arrays)
    with zipfile.ZipFile("x.npz", "a") as archive:
        archive.write("x.npy", "extra.npy")
    line = program.refuses(4, *whole.RUN, "--weights", "x.npz")
    assert "'extra.npy' holds Python objects" in line


def bomb(megabytes):
    """Return so many zeros, packed by zlib: a thousandth of them."""
    packer = zlib.compressobj()
    block = bytes(1 << 20)
    head, again = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return head + (megabytes - 1) * again


@pytest.mark.fault(23)
@pytest.mark.parametrize("kind", ["npz", "pth", "h5"])
def test_bombs(program, folder, kind):
    path = folder / f"bomb.{kind}"
    if kind == "h5":
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset(
                "conv1/kernel", (3, 3, 3, 64), "f4", chunks=(3, 3, 3, 64), compression="gzip"
            )
            dataset.id.write_direct_chunk((0, 0, 0, 0), bomb(1024))
            file["conv1/bias"] = np.zeros(64, "f4")
    else:
        head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 3, 9942054), }\n"
        member = "conv1.weight.npy" if kind == "npz" else "x/data.pkl"
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(member, "w") as into,
        ):
            into.write(b"\x93NUMPY\x01\x00" + bytes([len(head), 0]) + head)
            for _ in range(1024):
                into.write(bytes(1 << 20))
    assert path.stat().st_size < 6e6  # 1 GB in a few MB
    frugal(program, *whole.RUN, "--weights", path.name)
    frugal(program, "weights", "check", path.name)


@pytest.mark.fault(23)
@pytest.mark.parametrize("name", ["h5", "npz", "pth", "legacy.pth", "safetensors", "onnx", "caffemodel"])
def test_a_shape_of_ten_billion_values(program, folder, name):
    path = folder / f"x.{name}"
    shape, few = (10**13 // 9 // 3, 3, 3, 3), bytes(400)
    if name == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("conv1/kernel", shape[::-1], "f4", chunks=(3, 3, 3, 1000))
            file["conv1/bias"] = np.zeros(64, "f4")
    elif name == "npz":
        from test_store_npz import npy_header, write

        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        write(path, [("conv1.weight.npy", npy_header(text, few))])
    elif name.endswith("pth"):
        from test_store_pth import dictionary, tensor, write

        body = dictionary(**{"conv1.weight": tensor(total=10**13, shape=shape, stride=(27, 9, 3, 1))})
        write(path, "legacy" if "legacy" in name else "zip", body, {"0": (10**13, few)})
    elif name == "safetensors":
        from test_store_safetensors import entry, write

        write(path, {"conv1.weight": entry(shape, offsets=(0, 4 * 27 * shape[0]))}, few)
    elif name == "onnx":
        from test_store_onnx import model, node, tensor

        path.write_bytes(model(tensor(shape, data=few), node(b"Conv", [b"x", b"w"])))
    else:
        from test_store_caffemodel import blob, layer

        path.write_bytes(layer(blob(shape, np.zeros(100)), name=b"conv1"))
    frugal(program, *whole.RUN, "--weights", path.name)
    frugal(program, "weights", "check", path.name)


@pytest.mark.fault(23)
@pytest.mark.parametrize("name", ["zip.pth", "x.npz"])
def test_members_that_would_lie_outside(program, folder, arrays, name):
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    whole.WRITERS[name](inner / name, arrays)
    with zipfile.ZipFile(inner / name, "a") as archive:
        for member in ("../../x.npy", "/x.npy", str(folder / "absolute.npy")):
            with archive.open(member, "w") as into:
                np.lib.format.write_array(into, np.zeros(3, "f4"))
    before = program.snapshot().keys()
    program.paints(*whole.RUN, "--weights", str(inner / name))
    assert program.snapshot().keys() == before
    assert not (folder.parent / "x.npy").exists() and not os.path.exists("/x.npy")
