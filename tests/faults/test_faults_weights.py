"""Rows 21, 22 and 24: weight files missing, damaged or another network's; never half a network."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import whole_networks as whole
from PIL import Image

from nst_manual import cli

CUTS = 12


@pytest.fixture(scope="module")
def arrays():
    return whole.bundled()


@pytest.fixture
def refuses(program, capfd):
    """The program in this process, which is faster: hold what `program.refuses` does, return the line."""

    def run(*arguments):
        before = program.snapshot()
        code = cli.main(list(map(str, arguments)))
        text = capfd.readouterr().err
        lines = [line for line in text.splitlines() if line.startswith("error: ")]
        assert (code, len(lines)) == (4, 1) and "Traceback" not in text, (code, text)
        assert program.snapshot() == before
        return lines[0]

    return run


def pixels():
    with Image.open("old.png") as picture:
        return np.asarray(picture)


def cuts(data, count=CUTS):
    """Sizes of beginnings of a file: of its first and last bytes, and spread between them."""
    return [1, 9, *(len(data) * i // (count - 3) for i in range(1, count - 3)), len(data) - 8, len(data) - 1]


# -- row 21 -----------------------------------------------------------------------------------------


@pytest.mark.fault(21)
def test_weights_that_are_no_file(program, refuses, folder):
    assert "none.h5: no such file" in program.refuses(4, *whole.RUN, "--weights", "none.h5")
    (folder / "empty.h5").write_bytes(b"")
    assert "empty.h5: is empty" in refuses(*whole.RUN, "--weights", "empty.h5")
    (folder / "page.h5").write_text("<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n")
    line = program.refuses(4, *whole.RUN, "--weights", "page.h5")
    assert "looks like a web page" in line and "fetch it again" in line
    (folder / "text.pth").write_text("version https://example.org/spec/v1\noid sha256:00\n")
    assert "in no format that is known" in refuses(*whole.RUN, "--weights", "text.pth")


@pytest.mark.fault(21)
def test_other_things_under_the_name(refuses, folder, capfd):
    (folder / "folder.h5").mkdir()
    assert "is a directory" in refuses(*whole.RUN, "--weights", "folder.h5")
    assert "not a regular file" in refuses(*whole.RUN, "--weights", os.devnull)
    assert "cannot be read" in refuses(*whole.RUN, "--weights", "a" * 300)
    if hasattr(os, "mkfifo"):
        os.mkfifo("fifo.h5")  # nobody writes to it: opening it would wait for ever
        try:
            assert cli.main([*whole.RUN, "--weights", "fifo.h5"]) == 4
            assert "not a regular file" in capfd.readouterr().err
        finally:
            os.unlink("fifo.h5")
    with contextlib.suppress(OSError):
        os.symlink("nowhere.h5", "link.h5")
        assert "no such file" in refuses(*whole.RUN, "--weights", "link.h5")
    (folder / "secret.h5").write_bytes(b"x")
    (folder / "secret.h5").chmod(0)
    if os.access("secret.h5", os.R_OK):
        (folder / "secret.h5").unlink()  # root reads everything
    else:
        assert "permission denied" in refuses(*whole.RUN, "--weights", "secret.h5").lower()
        (folder / "secret.h5").chmod(0o600)


@pytest.mark.fault(21)
def test_no_weights_for_the_network(program):
    options = ("run", "photo.png", "painting.png", "-o", "old.png", "--size", "48", "--network", "vgg19")
    line = program.refuses(4, *options)
    assert "there are none for vgg19" in line and "weights get vgg19" in line


@pytest.mark.fault(21)
@pytest.mark.parametrize("name", ["bundled", *whole.WRITERS])
def test_cut_at_many_points(program, refuses, folder, arrays, name):
    path = folder / ("cut.h5" if name == "bundled" else name)
    data = (whole.BUNDLED if name == "bundled" else whole.WRITERS[name](path, arrays)).read_bytes()
    for size in cuts(data):
        path.write_bytes(data[:size])
        refuses("weights", "check", path)
    path.write_bytes(data[: len(data) // 2])
    line = program.refuses(4, *whole.RUN, "--weights", path.name)
    assert path.name in line and ("truncated" in line or "damaged" in line)
    (folder / "old.h5").write_bytes(b"what was there")
    refuses("weights", "convert", path, "new.h5")
    refuses("weights", "convert", path, "old.h5", "--force")


@pytest.mark.fault(21)
def test_every_format_whole_paints_the_same(program, folder, arrays):
    program.paints(*whole.RUN, "--weights", str(whole.BUNDLED))
    expected = pixels()
    for name, write in whole.WRITERS.items():
        write(folder / name, arrays)
        assert cli.main([*whole.RUN, "--weights", name]) == 0
        np.testing.assert_array_equal(pixels(), expected, name)


# -- row 22 -----------------------------------------------------------------------------------------


def flip(path, at):
    """Change one byte of a file."""
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def place_of(path, dataset):
    """Return where the values of a dataset begin in an HDF5 file, and their number of bytes."""
    with h5py.File(path) as file:
        found = file[dataset]
        if found.chunks is None:
            return found.id.get_offset(), found.id.get_storage_size()
        chunk = found.id.get_chunk_info(0)
        return chunk.byte_offset, chunk.size


@pytest.mark.fault(22)
def test_a_byte_flipped_in_a_bundled_file(program, folder):
    copy = folder / "copy"
    (copy / "weights").mkdir(parents=True)
    shutil.copytree(
        whole.ROOT / "nst_manual", copy / "nst_manual", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("squeezenet.h5", "SHA256SUMS"):
        shutil.copy(whole.ROOT / "weights" / name, copy / "weights")
    here = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    program.paints(*whole.RUN, environment=here)
    at, size = place_of(copy / "weights" / "squeezenet.h5", "fire5/expand3x3/weight")
    flip(copy / "weights" / "squeezenet.h5", at + size // 2)
    for options in (whole.RUN, (*whole.RUN, "--weights", str(copy / "weights" / "squeezenet.h5"))):
        line = program.refuses(4, *options, environment=here)
        assert "squeezenet.h5: checksum mismatch, found sha256:" in line and "expected sha256:" in line


@pytest.mark.fault(22)
def test_a_published_file_that_is_not_itself(program, refuses, folder, arrays):
    name = "squeezenet1_1-b8a52dc0.pth"
    whole.write_pth(folder / name, arrays)
    done = program.paints(*whole.RUN, "--weights", name)
    assert "has the name of a published file but another checksum" in done.err
    cache = Path(os.environ["NST_MANUAL_CACHE"]) / "weights"
    cache.mkdir()
    shutil.move(folder / name, cache / name)
    line = program.refuses(4, *whole.RUN)
    assert f"{name}: checksum mismatch" in line and "expected sha256:b8a52dc0" in line
    assert "weights get squeezenet" in line


@pytest.mark.fault(22)
def test_a_byte_flipped_in_a_converted_file(program, refuses, folder, arrays):
    whole.write_npz(folder / "x.npz", arrays)
    assert program("weights", "convert", "x.npz", "own.h5").code == 0
    done = program.paints(*whole.RUN, "--weights", "own.h5")
    assert "checksum" not in done.err
    data = (folder / "own.h5").read_bytes()
    seen = set()
    for layer in ("conv1/weight", "fire5/expand3x3/weight", "fire2/squeeze1x1/bias"):
        start, size = place_of("own.h5", layer)
        for at in (start, start + size // 2, start + size - 1):
            (folder / "own.h5").write_bytes(data)
            flip("own.h5", at)
            # what is packed has a sum of its own, and does not always unpack
            seen.add(refuses("weights", "check", "own.h5").split(": ")[2].split(",")[0].split(" in ")[0])
    assert seen <= {"checksum mismatch", "checksum mismatch inside the file", "damaged or truncated"}, seen
    program.refuses(4, *whole.RUN, "--weights", "own.h5")

    # packed anew, with sums that fit, as whoever exchanges a value would have it
    (folder / "own.h5").write_bytes(data)
    with h5py.File("own.h5", "a") as file:
        file["fire5/expand3x3/weight"][1, 1, 0, 0] += 1
    line = program.refuses(4, *whole.RUN, "--weights", "own.h5")
    assert "own.h5: checksum mismatch in fire5/expand3x3.weight" in line


@pytest.mark.fault(22)
@pytest.mark.parametrize("name", ["zip.pth", "x.npz"])
def test_a_byte_flipped_where_the_format_has_checksums(program, folder, arrays, name):
    whole.WRITERS[name](folder / name, arrays)
    flip(name, (folder / name).stat().st_size // 2)
    line = program.refuses(4, *whole.RUN, "--weights", name)
    assert "checksum mismatch inside the file" in line or "damaged" in line


@pytest.mark.fault(22)
def test_a_byte_flipped_in_an_unknown_file(program, folder, arrays):
    whole.write_h5(folder / "plain.h5", arrays)
    at, size = place_of("plain.h5", "conv1/kernel")
    flip("plain.h5", at + size // 8 * 4)  # the last bits of a number: nobody can tell
    done = program.paints(*whole.RUN, "--weights", "plain.h5")
    assert "plain.h5: checksum unknown" in done.err


# -- row 24 -----------------------------------------------------------------------------------------


@pytest.mark.fault(24)
def test_vgg16_for_vgg19(program):
    vgg16 = str(whole.ROOT / "weights" / "vgg16.h5")
    options = ("run", "photo.png", "painting.png", "-o", "old.png", "--size", "48", "--network", "vgg19")
    line = program.refuses(4, *options, "--weights", vgg16)
    assert "has no conv3_4, conv4_4" in line and "its layers are those of vgg16, expected vgg19" in line
    assert "conv1, fire2/" in program.refuses(4, *whole.RUN, "--weights", vgg16)


@pytest.mark.fault(24)
@pytest.mark.parametrize("name", ["plain.h5", "zip.pth", "x.onnx"])
def test_layers_that_do_not_fit(refuses, folder, arrays, name):
    layer, write = "fire3/expand3x3", whole.WRITERS[name]
    kernel, bias = arrays[layer]

    write(folder / name, {key: pair for key, pair in arrays.items() if key != layer})
    assert f"has no {layer}, which squeezenet needs" in refuses(*whole.RUN, "--weights", name)

    write(folder / name, arrays | {layer: (kernel[..., :32], bias[:32])})
    line = refuses(*whole.RUN, "--weights", name)
    assert f"{layer} has a weight of shape (3, 3, 16, 32), expected (3, 3, 16, 64)" in line

    write(folder / name, arrays | {layer: (kernel, bias[:63])})
    assert layer in refuses(*whole.RUN, "--weights", name)

    for value in (np.nan, np.inf):
        changed = kernel.copy()
        changed[1, 2, 3, 4] = value
        write(folder / name, arrays | {layer: (changed, bias)})
        line = refuses(*whole.RUN, "--weights", name)
        assert f"{layer} has 1 of 9216 values in its weight that are not finite" in line
        assert f"the first is {value} at" in line


@pytest.mark.fault(24)
def test_what_is_not_finite_is_neither_checked_nor_converted(program, folder, arrays):
    arrays = {layer: (kernel.copy(), bias) for layer, (kernel, bias) in arrays.items()}
    arrays["fire3/expand3x3"][0][0, 0, 0, 0] = np.nan
    whole.write_npz(folder / "x.npz", arrays)
    assert "not finite in fire3/expand3x3" in program.refuses(4, "weights", "check", "x.npz")
    assert "fire3/expand3x3" in program.refuses(4, "weights", "convert", "x.npz", "new.h5")
