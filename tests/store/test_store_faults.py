"""Weight files that are damaged, hostile or another network's: a WeightsError says what and where."""

import os
import zlib

import h5py
import numpy as np
import pytest
from store_files import SMALL, VGG16, VGG19, random_arrays, vgg_shapes, write_keras

from nst_manual import store
from nst_manual.errors import WeightsError


def refused(path, match, network="vgg16", shapes=SMALL):
    with pytest.raises(WeightsError, match=match) as caught:
        store.load_weights(path, network, shapes)
    assert caught.value.exit_code == 4 and str(path) in str(caught.value) and "\n" not in str(caught.value)


def small_shapes(blocks):
    """The layers of a VGG network, all of them with four channels."""
    return {name: ((3, 3, 3 if name == "conv1_1" else 4, 4), (4,)) for name in vgg_shapes(blocks)}


@pytest.mark.parametrize(
    "data, match",
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "looks like a web page"),
        (b"\n  <html lang='en'>", "looks like a web page"),
        (b"PK\x03\x04 something else altogether", "damaged"),
        (b"something else altogether", "is in no format that is known"),
        (b"GIF89a" + bytes(5000), "is in no format that is known"),
        (b"\x89HDF", "truncated"),
        (b"\x89HDF\r\n\x1a\n" + bytes(3000), "damaged"),
    ],
)
def test_no_weight_file(tmp_path, data, match):
    (tmp_path / "x.h5").write_bytes(data)
    refused(tmp_path / "x.h5", match)


def test_not_a_file(tmp_path):
    refused(tmp_path / "none.h5", "no such file")
    refused(tmp_path, "is a directory")
    refused(tmp_path / ("a" * 300), "cannot be read")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo.h5")  # nobody writes to it: opening it would wait for ever
        refused(tmp_path / "fifo.h5", "not a regular file")
        refused("/dev/null", "not a regular file")


def test_cut_at_many_points(tmp_path):
    data = write_keras(tmp_path / "x.h5", random_arrays(SMALL)).read_bytes()
    for size in {*range(1, 200, 7), *range(200, len(data), len(data) // 60), len(data) - 1}:
        (tmp_path / "cut.h5").write_bytes(data[:size])
        refused(tmp_path / "cut.h5", "damaged or truncated")


def test_flipped_bits_end_in_an_error_or_in_whole_layers(tmp_path):
    data = write_keras(tmp_path / "x.h5", random_arrays(SMALL)).read_bytes()
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        (tmp_path / "x.h5").write_bytes(damaged)
        try:
            weights = store.load_weights(tmp_path / "x.h5", "vgg16", SMALL)
        except WeightsError:
            errors += 1
        else:
            assert {name: (w.shape, b.shape) for name, (w, b) in weights.arrays.items()} == SMALL
            assert weights.warnings
    assert errors > 10


def test_vgg16_for_vgg19_and_the_other_way_round(tmp_path):
    for blocks, network, other, other_blocks in (
        (VGG16, "vgg16", "vgg19", VGG19),
        (VGG19, "vgg19", "vgg16", VGG16),
    ):
        path = write_keras(tmp_path / f"{network}.h5", random_arrays(small_shapes(blocks)))
        shapes = small_shapes(other_blocks)
        refused(path, f"its layers are those of {network}, expected {other}", other, shapes)
        if network == "vgg16":
            refused(path, "conv3_4, conv4_4, conv5_4, which vgg19 needs", other, shapes)
        assert (
            store.load_weights(path, network, small_shapes(blocks)).arrays.keys() == vgg_shapes(blocks).keys()
        )


def test_missing_layer(tmp_path):
    arrays = random_arrays(SMALL)
    del arrays["conv1_2"]
    refused(write_keras(tmp_path / "x.h5", arrays), "has no conv1_2, which vgg16 needs")


def test_classifier_left_off(tmp_path):
    path = write_keras(tmp_path / "x.h5", random_arrays(SMALL))
    refused(path, "has no fc6.*notop", shapes=SMALL | {"fc6": ((10, 4), (4,))})


def test_missing_bias_and_a_second_kernel(tmp_path):
    path = write_keras(tmp_path / "x.h5", random_arrays(SMALL))
    with h5py.File(path, "a") as file:
        del file["block1_conv2/block1_conv2_b_1:0"]
    refused(path, "conv1_2 should have one kernel and one bias")
    path = write_keras(tmp_path / "x.h5", random_arrays(SMALL))
    with h5py.File(path, "a") as file:
        file["block1_conv2/again"] = np.zeros((3, 3, 4, 5), "float32")
    refused(path, "conv1_2 should have one kernel and one bias")


def test_wrong_shape(tmp_path):
    arrays = random_arrays(SMALL)
    kernel, bias = arrays["conv2_1"]
    path = tmp_path / "x.h5"
    write_keras(path, arrays | {"conv2_1": (kernel.transpose(3, 2, 0, 1), bias)})
    refused(
        path, r"conv2_1 has a weight of shape \(6, 5, 3, 3\), expected \(3, 3, 5, 6\).*\(out, in, kh, kw\)"
    )
    write_keras(path, arrays | {"conv2_1": (kernel, bias[:-1])})
    refused(path, r"conv2_1 has a bias of shape \(5,\), expected \(6,\)")


@pytest.mark.parametrize("value, stored", [(np.nan, "f4"), (np.inf, "f2"), (1e300, "f8")])
def test_not_finite(tmp_path, value, stored):
    arrays = {name: [a.astype(stored) for a in pair] for name, pair in random_arrays(SMALL).items()}
    arrays["conv1_2"][0][1, 2, 3, 4] = value
    refused(
        write_keras(tmp_path / "x.h5", arrays), r"conv1_2 has 1 of 180 values in its weight.*\(1, 2, 3, 4\)"
    )


@pytest.mark.parametrize("kind", ["external", "soft", "external group", "external model"])
def test_links_are_not_followed(tmp_path, kind):
    arrays = random_arrays(SMALL)
    other = write_keras(tmp_path / "other.h5", arrays)
    path = write_keras(tmp_path / "x.h5", arrays)
    name = "block1_conv2/block1_conv2_W_1:0"
    with h5py.File(path, "a") as file:
        if kind == "external model":
            file["model_weights"] = h5py.ExternalLink(str(other), "/")
        else:
            node = "block1_conv2" if "group" in kind else name
            del file[node]
            file[node] = h5py.SoftLink("/" + name) if kind == "soft" else h5py.ExternalLink(str(other), node)
    refused(path, "is a link")


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_data_in_other_files_is_not_read(tmp_path, kind):
    arrays = random_arrays(SMALL)
    path = write_keras(tmp_path / "x.h5", arrays)
    name, shape = "block1_conv2/block1_conv2_W_1:0", SMALL["conv1_2"][0]
    (tmp_path / "secret").write_bytes(bytes(8000))
    with h5py.File(path, "a") as file:
        del file[name]
        if kind == "external":
            file.create_dataset(name, shape, "f4", external=[(str(tmp_path / "secret"), 0, 4 * 180)])
        else:
            layout = h5py.VirtualLayout(shape, "f4")
            layout[...] = h5py.VirtualSource(str(tmp_path / "y.h5"), name, shape)
            file.create_virtual_dataset(name, layout)
    refused(path, "keeps its data in another file")


@pytest.mark.parametrize(
    "dtype", [h5py.string_dtype(), h5py.vlen_dtype(np.int32), "i4", "c8", h5py.ref_dtype]
)
def test_other_types_are_not_read(tmp_path, dtype):
    path = write_keras(tmp_path / "x.h5", random_arrays(SMALL))
    with h5py.File(path, "a") as file:
        del file["block1_conv2/block1_conv2_W_1:0"]
        file.create_dataset("block1_conv2/block1_conv2_W_1:0", SMALL["conv1_2"][0], dtype)
    refused(path, "expected float16, float32 or float64")


def test_absurd_shapes_are_not_allocated(tmp_path):
    path = write_keras(tmp_path / "x.h5", random_arrays(SMALL))
    huge = (3, 3, 10**6, 10**6)
    with h5py.File(path, "a") as file:
        del file["block1_conv2/block1_conv2_W_1:0"]
        file.create_dataset("block1_conv2/block1_conv2_W_1:0", huge, "f4", chunks=(1, 1, 100, 100))
    refused(path, "expected")
    with pytest.raises(WeightsError, match="conv1_2 declares 36000000000000 bytes"):
        store.check_weights(path)
    # Even one who expects it gets no array of what was never written.
    refused(path, "has 0 of its", shapes={"conv1_2": (huge, (5,))})
    with h5py.File(path, "a") as file:
        del file["block1_conv2/block1_conv2_W_1:0"]
        file.create_dataset("block1_conv2/block1_conv2_W_1:0", SMALL["conv1_2"][0], "f4")
    refused(path, "declares 720 bytes, 0 are there")


def test_huge_chunks_and_bombs(tmp_path):
    path = write_keras(tmp_path / "x.h5", random_arrays(SMALL))
    name = "block1_conv2/block1_conv2_W_1:0"
    shape = SMALL["conv1_2"][0]
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, shape, "f4", chunks=(3, 3, 4, 10**7), maxshape=(3, 3, 4, None))
        file[name].id.write_direct_chunk((0, 0, 0, 0), b"x")
    refused(path, "declares chunks of 1440000000 bytes")

    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    head, again = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    bomb = head + 600 * again  # 600 MB in 0.6 MB
    assert len(bomb) < 1e6
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, shape, "f4", chunks=shape, compression="gzip")
        file[name].id.write_direct_chunk((0, 0, 0, 0), bomb)
    refused(path, "unpacks to more than the 720 bytes")


def test_other_filters_are_refused(tmp_path):
    path = write_keras(tmp_path / "x.h5", random_arrays(SMALL), compression="lzf")
    refused(path, "is packed by filter 32000")


def test_a_group_that_contains_itself_ends(tmp_path):
    path = write_keras(tmp_path / "x.h5", random_arrays(SMALL))
    with h5py.File(path, "a") as file:
        file["block1_conv2/self"] = file["block1_conv2"]
    refused(path, "more than|should have one kernel")


@pytest.mark.parametrize("automatic", [True, False])
def test_layers_without_names_are_taken_in_order_if_the_shapes_agree(tmp_path, automatic):
    shapes = {f"conv1_{i}": ((3, 3, 3 if i == 1 else 4, 4), (4,)) for i in range(1, 10)}
    shapes |= {"conv2_1": ((3, 3, 4, 5), (5,)), "conv2_2": ((3, 3, 5, 5), (5,))}
    arrays = random_arrays(shapes)
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for i, pair in enumerate(arrays.values()):
            name = (f"conv2d_{i}" if i else "conv2d") if automatic else f"layer_{i}"
            file[f"layers/{name}/vars/0"], file[f"layers/{name}/vars/1"] = pair
    if not automatic:
        return refused(path, "none of its layers has a name that is known", shapes=shapes)
    weights = store.load_weights(path, "vgg16", shapes)
    for name, pair in arrays.items():
        for ours, theirs in zip(weights.arrays[name], pair, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert any("in the order" in warning for warning in weights.warnings)
    shapes["conv2_1"] = ((3, 3, 4, 6), (6,))
    return refused(path, r"would be conv2_1, of shape \(3, 3, 4, 5\), expected \(3, 3, 4, 6\)", shapes=shapes)
