"""Caffe's weight files: all three forms, read as they were written; damaged ones."""

import tracemalloc

import numpy as np
import pytest
from golden_graphs import FILES, batch_norm_arrays, golden_arrays
from test_store_protobuf import sized, tag, varint

from nst_manual.errors import WeightsError
from nst_manual.store import caffemodel

NAMES = ("new.caffemodel", "v1.caffemodel", "v0.caffemodel", "rare.caffemodel")
OPS = ["Conv", "Conv", "Conv", "Linear", "Linear"]


def read(path):
    """Return name -> values, the nodes and the warnings."""
    with caffemodel.open_archive(path) as archive:
        arrays = {}
        for name, tensor in archive.tensors.items():
            arrays[name] = tensor.read()
            assert arrays[name].shape == tensor.shape and arrays[name].dtype == tensor.dtype
            assert arrays[name].flags.c_contiguous and arrays[name].dtype.isnative
        assert archive.axes == "OIHW" and archive.network is None and archive.format == "Caffe"
        return arrays, archive.nodes, archive.warnings


def refused(path, data, match):
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=match) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def blob(shape, values, number=7):
    dims = b"".join(map(varint, shape))
    return sized(number, sized(7, sized(1, dims)) + sized(5, np.asarray(values, "<f4").tobytes()))


def layer(*blobs, name=b"conv", type=b"Convolution", more=b""):
    return sized(100, sized(1, name) + sized(2, type) + b"".join(blobs) + more)


@pytest.mark.parametrize("name", NAMES[:3])
def test_every_value_is_there(name):
    arrays, nodes, warnings = read(FILES / name)
    golden = golden_arrays()
    for key, expected in golden.items():
        assert arrays[key].dtype == np.float32 and arrays[key].shape == expected.shape
        np.testing.assert_array_equal(arrays[key], expected)
    assert [node.op for node in nodes] == OPS and not warnings
    assert [name for node in nodes for name in node.tensors] == list(golden)
    assert [node.name for node in nodes] == ["conv1_1", "conv1/1x1", "grouped", "fc6", "fc7"]
    assert list(arrays)[: len(golden)] == list(golden)
    assert len(arrays) == len(golden) + 5 * (name == "new.caffemodel")


def test_batch_norm_and_scale_are_there():
    arrays = read(FILES / "new.caffemodel")[0]
    scale, shift, mean, variance = batch_norm_arrays()
    for name, expected in {
        "norm.weight": mean,
        "norm.bias": variance,
        "norm.2": scale[:1],
        "scale.weight": scale,
        "scale.bias": shift,
    }.items():
        np.testing.assert_array_equal(arrays[name], expected)


def test_doubles_a_transposed_matrix_and_unpacked_floats():
    arrays, nodes, _ = read(FILES / "rare.caffemodel")
    golden = golden_arrays()
    assert arrays["fc6.weight"].dtype == np.float64
    for name in ("fc6.weight", "fc6.bias", "conv1_1.weight"):
        np.testing.assert_array_equal(arrays[name], golden[name])
    assert [node.tensors for node in nodes] == [("fc6.weight", "fc6.bias"), ("conv1_1.weight",)]


@pytest.mark.parametrize("shape", [[2, 3, 1, 1], [1, 1, 2, 3], [2, 3]])
def test_a_matrix_may_have_more_axes(tmp_path, shape):
    data = layer(blob(shape, range(6)), blob([1, 2, 1, 1], [7, 8]), type=b"InnerProduct")
    (tmp_path / "x").write_bytes(data)
    arrays = read(tmp_path / "x")[0]
    assert arrays["conv.weight"].tolist() == [[0, 1, 2], [3, 4, 5]] and arrays["conv.bias"].tolist() == [7, 8]


def test_what_matches():
    for name in NAMES:
        data = (FILES / name).read_bytes()
        assert caffemodel.matches(data[:4096]) and caffemodel.matches(data[:200])
    for path in FILES.iterdir():
        assert caffemodel.matches(path.read_bytes()[:4096]) == (path.suffix == ".caffemodel"), path
    for head in (
        b"",
        b"\n",
        b"<!DOCTYPE html><html>",
        b"\n  <html>\n<body>",
        b'name: "VGG"\nlayers {\n',
        b"PK\x03\x04" + bytes(100),
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"\x80\x02}q\x00.",
        b"\x0a\x00" + bytes(98),
        b"\x12\x10" + bytes(98),
        b"MATLAB 5.0 MAT-file" + b" " * 100,
        bytes(4096),
        b"\xff" * 4096,
        b"a plain text\n" * 100,
    ):
        assert not caffemodel.matches(head), head


def test_cut_at_many_points(tmp_path):
    for name in NAMES:
        data = (FILES / name).read_bytes()
        whole, nodes, warnings = read(FILES / name)
        errors, sizes = (
            0,
            {*range(1, 40), *range(40, len(data), len(data) // 60), *range(len(data) - 8, len(data))},
        )
        for size in sizes:
            (tmp_path / "x").write_bytes(data[:size])
            try:
                found = read(tmp_path / "x")
            except WeightsError:
                errors += 1
            else:
                # Cut between two layers: what is there is whole.
                assert list(found[0]) == list(whole)[: len(found[0])] and found[1] == nodes[: len(found[1])]
        assert errors >= len(sizes) - 8


def test_flipped_bits_end_in_an_error_or_in_whole_tensors(tmp_path):
    rng = np.random.default_rng(0)
    errors = 0
    for name in NAMES:
        data = (FILES / name).read_bytes()
        whole, nodes, warnings = read(FILES / name)
        for position in rng.integers(len(data), size=200):
            damaged = bytearray(data)
            damaged[position] ^= 1 << rng.integers(8)
            (tmp_path / "x").write_bytes(damaged)
            try:
                found = read(tmp_path / "x")
            except WeightsError as error:
                assert "\n" not in str(error)
                errors += 1
                continue
            # Layers that work in place, like those at the end of the first file, can be lost without a trace.
            if found[2] == warnings and not (name == NAMES[0] and position >= data.index(b"norm") - 4):
                assert sorted(a.shape for a in found[0].values()) == sorted(a.shape for a in whole.values())
                assert [node.op for node in found[1]] == [node.op for node in nodes]
    assert errors > 50


def test_a_lost_layer_is_missed(tmp_path):
    data = (FILES / "new.caffemodel").read_bytes()
    at = data.index(b"\xa2\x06", data.index(b"conv1_1") - 8)
    (tmp_path / "x").write_bytes(data[:at] + b"\xaa" + data[at + 1 :])  # field 101
    arrays, _, warnings = read(tmp_path / "x")
    assert "conv1_1.weight" not in arrays and "'conv1_1', which none before gives" in warnings[0]


W, B = blob([2, 1, 1, 3], range(6)), blob([2], range(2))
BIAS, NO_BIAS = sized(106, b"\x08\x02"), sized(106, b"\x10\x00")


@pytest.mark.parametrize(
    "data, match",
    [
        (b"", "is empty"),
        (sized(1, b"net"), "has no layers"),
        (layer(W, B) * 2, "two layers 'conv' with weights"),
        (layer(), "'conv' has no weights"),
        (layer(W, more=BIAS), "declares a bias and has 1 blobs"),
        (layer(W, B, more=NO_BIAS), "declares no bias and has 2 blobs"),
        (layer(W, B, W, more=BIAS), "declares a bias and has 3 blobs"),
        (layer(W, name=b""), "lacks a name or a type"),
        (layer(W, type=b""), "lacks a name or a type"),
        (
            layer(blob([2, 1, 1, 4], range(6))),
            r"'conv.weight' declares the shape \(2, 1, 1, 4\), 8 values, 6 are",
        ),
        (layer(blob([2, 1, 1, 1 << 40], range(6))), "declares the shape"),
        (layer(blob([1 << 63, 1], range(6))), "declares the shape"),
        (layer(blob([0, 1 << 62], [])), "declares the shape"),
        (layer(blob([1] * 17, [1])), "more than 16 numbers"),
        (layer(sized(7, sized(7, b"\x08\x01" * 20))), "has 17 axes"),
        (layer(sized(7, sized(5, bytes(8)))), r"declares the shape \(0, 0, 0, 0\), 0 values, 2 are there"),
        (layer(sized(7, sized(5, bytes(8)) + sized(8, bytes(8)))), "has its values twice"),
        (layer(sized(7, sized(5, bytes(7)))), "not a multiple of 4"),
        (layer(name=b"a\nb", type=b"InnerProduct"), r"'a\\nb' has no weights"),
        (tag(100, 2) + varint(1 << 50), "bytes, 0 are there"),
        (sized(100, tag(7, 2) + varint(1 << 50)), "bytes, 0 are there"),
        (tag(100, 0) + b"\x01", "of another type"),
    ],
)
def test_damage(tmp_path, data, match):
    tracemalloc.start()
    try:
        refused(tmp_path / "x", data, match)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_unknown_layers_with_weights_are_reported(tmp_path):
    (tmp_path / "x").write_bytes(layer(W, type=b"Convolutiom") + layer(W, name=b"s", type=b"Scale"))
    arrays, nodes, warnings = read(tmp_path / "x")
    assert list(arrays) == ["conv.weight", "s.weight"] and not nodes
    assert len(warnings) == 1 and "'conv' with weights has the unknown type 'Convolutiom'" in warnings[0]
