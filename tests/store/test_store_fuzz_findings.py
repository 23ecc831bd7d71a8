"""What `tools/fuzz.py` found in the readers of weights, made small."""

import struct
import subprocess
import sys

import h5py
import numpy as np
import pytest
from store_files import SMALL, random_arrays, write_keras

from nst_manual import store
from nst_manual.errors import WeightsError
from nst_manual.store import hdf5


@pytest.fixture
def path(tmp_path):
    """Keras 3's layout: the layers' names are texts in a heap."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for number, (name, pair) in enumerate(random_arrays(SMALL).items()):
            group = file.create_group(f"layers/conv2d_{number}/vars")
            group.attrs["name"] = name
            group["0"], group["1"] = pair
    return path


def free_space(data):
    """Return where the free space of the heap of texts begins."""
    at = data.index(b"GCOL") + 16
    while True:
        number, size = struct.unpack("<H6xQ", data[at : at + 16])
        if not number:
            return at
        at += 16 + -(-size // 8) * 8


def refused(path, match):
    with pytest.raises(WeightsError, match=match) as caught:
        store.check_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_heap_of_texts_without_an_end(path):
    store.load_weights(path, "vgg16", SMALL)
    data = bytearray(path.read_bytes())
    at = free_space(data)
    data[at + 8 : at + 16] = bytes(8)
    path.write_bytes(data)
    # in a process of its own, for HDF5 would stay there for ever
    code = "import sys; from nst_manual import cli; sys.exit(cli.main(['weights', 'check', sys.argv[1]]))"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 4 and "damaged or truncated, a heap of texts has no end" in done.stderr


def test_a_text_longer_than_it_was_leads_to_zeros(path):
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL") + 16
    data[at + 8 : at + 16] = struct.pack("<Q", 1000)  # the next object is looked for in the free space
    path.write_bytes(data)
    refused(path, "a heap of texts has no end")


def test_a_heap_of_more_objects_than_any_file_has(path, monkeypatch):
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 3)
    refused(path, "a heap of texts has no end")


def test_the_letters_of_a_heap_among_the_weights_mean_nothing(tmp_path):
    arrays = random_arrays(SMALL)
    kernel, bias = arrays["conv1_2"]
    letters = [b"GCOL\1\0\0\0" + struct.pack("<Q", size) for size in (24, 64, 1 << 40, 2**64 - 1)]
    kernel = np.frombuffer(b"".join(letters) * 12, "<f4")[: kernel.size].reshape(kernel.shape).copy()
    kernel[~np.isfinite(kernel)] = 0
    path = write_keras(tmp_path / "x.h5", arrays | {"conv1_2": (kernel, bias)})
    assert path.read_bytes().count(b"GCOL\1") > 10
    found = store.load_weights(path, "vgg16", SMALL).arrays["conv1_2"][0]
    np.testing.assert_array_equal(found, kernel)


@pytest.mark.parametrize("versions", [None, "latest"])
@pytest.mark.parametrize("field", [0, 1])
def test_addresses_and_sizes_of_other_than_8_bytes(tmp_path, versions, field):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver=versions) as file:
        for name, pair in random_arrays(SMALL).items():
            file[f"{name}/kernel"], file[f"{name}/bias"] = pair
    store.load_weights(path, "vgg16", SMALL)
    data = bytearray(path.read_bytes())
    at = (9 if versions else 13) + field
    assert data[at] == 8
    data[at] = 4
    path.write_bytes(data)
    refused(path, "other than 8 bytes")
