"""ONNX files: the values and the operations that take them, stored in every way; damaged ones."""

import struct
import tracemalloc

import numpy as np
import pytest
from golden_graphs import FILES, batch_norm_arrays, golden_arrays
from test_store_protobuf import sized, tag, varint

from nst_manual.errors import WeightsError
from nst_manual.store import onnx_file

NAMES = ("raw.onnx", "float_data.onnx", "float16.onnx", "types.onnx", "ways.onnx", "torch.onnx")


def read(path):
    """Return name -> values, the nodes and the warnings."""
    with onnx_file.open_archive(path) as archive:
        arrays = {}
        for name, tensor in archive.tensors.items():
            arrays[name] = tensor.read()
            assert arrays[name].shape == tensor.shape and arrays[name].dtype == tensor.dtype
            assert arrays[name].flags.c_contiguous and arrays[name].dtype.isnative
        assert archive.axes == "OIHW" and archive.format == "ONNX"
        return arrays, archive.nodes, archive.warnings


def refused(path, data, match):
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=match) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES[:3])
def test_every_value_is_there(name):
    arrays, nodes, warnings = read(FILES / name)
    golden = golden_arrays(dtype="float16" if name == "float16.onnx" else "float32")
    assert list(arrays) == list(golden) and not warnings
    for key, expected in golden.items():
        assert arrays[key].dtype == expected.dtype
        np.testing.assert_array_equal(arrays[key], expected)
    assert [node.op for node in nodes] == ["Conv", "Conv", "Conv", "Linear", "Linear"]
    assert [name for node in nodes for name in node.tensors] == list(golden)
    assert [node.name for node in nodes] == ["conv1_1", "conv1/1x1", "grouped", "fc6", "fc7"]


def test_types():
    arrays, nodes, _ = read(FILES / "types.onnx")
    golden = golden_arrays()
    bits = golden["conv1_1.weight"].view(np.uint32) & 0xFFFF0000
    np.testing.assert_array_equal(arrays["bf"], bits.view(np.float32))
    np.testing.assert_array_equal(arrays["f64"], golden["fc6.weight"].astype("float64"))
    assert arrays["i64"].tolist() == [-3, 1 << 40] and arrays["i8"].tolist() == [-3, 100]
    assert arrays["u64"].tolist() == [1 << 63] and arrays["u64"].dtype == np.uint64
    assert "flag" not in arrays and not nodes


def test_weights_are_followed_back():
    arrays, nodes, warnings = read(FILES / "ways.onnx")
    golden, norm = golden_arrays(), batch_norm_arrays()
    kernel, bias = golden["conv1/1x1.weight"], golden["conv1/1x1.bias"]
    expected = {
        "conv": (golden["conv1_1.weight"], golden["conv1_1.bias"]),
        "norm": tuple(norm),
        "from cast": (kernel.astype("float16"), bias),
        "from reshape": (kernel, bias),
        "in_out": (golden["fc6.weight"], golden["fc6.bias"]),
        "matmul": (golden["fc6.weight"][:, :5].T, golden["fc6.bias"]),
        "transposed": (golden["fc7.weight"],),
    }
    assert [node.name for node in nodes] == list(expected)
    for node in nodes:
        for name, values in zip(node.tensors, expected[node.name], strict=True):
            np.testing.assert_array_equal(arrays[name], values)
    assert [node.op for node in nodes] == ["Conv", "BatchNorm", "Conv", "Conv", "Linear", "Linear", "Linear"]
    assert nodes[1].epsilon == pytest.approx(1e-3)
    assert len(warnings) == 2 and "'Mul' 'squared' is left out" in warnings[0]
    assert "'computed' is left out" in warnings[1]


def test_what_pytorch_exports():
    arrays, nodes, warnings = read(FILES / "torch.onnx")
    golden = golden_arrays()
    assert [node.op for node in nodes] == ["Conv", "BatchNorm", "Conv", "Linear"] and not warnings
    assert nodes[1].epsilon == pytest.approx(1e-3)
    np.testing.assert_array_equal(arrays["0.weight"], golden["conv1_1.weight"])
    for name, values in zip(nodes[1].tensors, batch_norm_arrays(), strict=True):
        np.testing.assert_array_equal(arrays[name], values)
    assert [node.tensors for node in nodes[2:]] == [("3.weight", "3.bias"), ("6.weight", "6.bias")]
    np.testing.assert_array_equal(arrays["6.weight"], golden["fc6.weight"][:, :6])


def test_what_matches():
    for path in FILES.iterdir():
        assert onnx_file.matches(path.read_bytes()[:4096]) == (path.suffix == ".onnx"), path
    for head in (
        b"",
        b"\x08",
        b"\x08\x07",
        b"<!DOCTYPE html><html>",
        b"\n<html>",
        b"PK\x03\x04" + bytes(100),
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"\x80\x02}q\x00.",
        b"\x08\x00" + bytes(98),
        bytes(4096),
        b"\xff" * 4096,
        b"a plain text\n" * 100,
    ):
        assert not onnx_file.matches(head), head
    assert onnx_file.matches(b"\x08\x07\x12\x04onnx" + sized(6, b"about" * 2000)[:4000])


def test_cut_at_many_points(tmp_path):
    for name in NAMES:
        data = (FILES / name).read_bytes()
        whole = read(FILES / name)
        errors, sizes = (
            0,
            {*range(1, 40), *range(40, len(data), len(data) // 60), *range(len(data) - 12, len(data))},
        )
        for size in sizes:
            (tmp_path / "x").write_bytes(data[:size])
            try:
                found = read(tmp_path / "x")
            except WeightsError:
                errors += 1
            else:
                # Cut behind the graph: only the version of the operations is missing.
                assert list(found[0]) == list(whole[0]) and found[1:2] == whole[1:2]
        assert errors >= len(sizes) - 1


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
            if len(found[2]) == len(warnings):
                assert sorted(a.shape for a in found[0].values()) == sorted(a.shape for a in whole.values())
                assert [node.op for node in found[1]] == [node.op for node in nodes]
    assert errors > 200


def tensor(dims, name=b"w", kind=1, data=None, more=b""):
    content = b"".join(tag(1, 0) + varint(n) for n in dims) + tag(2, 0) + varint(kind) + sized(8, name)
    return sized(5, content + (b"" if data is None else sized(9, data)) + more)


def node(op, inputs, output=b"y", more=b""):
    return sized(1, b"".join(sized(1, name) for name in inputs) + sized(2, output) + sized(4, op) + more)


def model(*parts, version=8, more=b""):
    graph = b"".join(parts) + sized(11, sized(1, b"x")) + sized(11, sized(1, b"free"))
    return tag(1, 0) + varint(version) + sized(7, graph) + more


def floats(count):
    return np.arange(count, dtype="<f4").tobytes()


NORM = [b"x", b"w", b"w", b"w", b"w"]
K = tensor([2, 1, 1, 1], data=floats(2))
M = tensor([2, 3], data=floats(6))


@pytest.mark.parametrize(
    "data, match",
    [
        (b"", "is empty"),
        (b"\x08\x08", "it has 0 graphs"),
        (model() + sized(7, b""), "it has 2 graphs"),
        (model(K, K), "two initializers 'w'"),
        (model(node(b"Conv", [b"x", b"w"])), "takes 'w', which nothing gives"),
        (model(K, sized(12, sized(1, b"z"))), "takes 'z', which nothing gives"),
        (model(node(b"Conv", [b"x", b"free"])), "takes 'free', which has no values"),
        (model(tensor([2, 2, 1, 1], data=floats(2))), r"shape \(2, 2, 1, 1\), 4 values, 2 are there"),
        (model(tensor([1 << 20, 1 << 20], data=floats(2))), "declares the shape"),
        (model(tensor([-1], data=floats(2))), "declares the shape"),
        (model(tensor([1] * 17, data=floats(1))), "has 17 axes"),
        (model(tensor([2])), "2 values, 0 are there"),
        (model(tensor([2], data=bytes(7))), "not a multiple of 4"),
        (model(tensor([2], data=floats(2), more=sized(4, floats(2)))), "has its values in fields"),
        (model(tensor([2], more=sized(7, b"\x01\x02"))), "has its values in fields"),
        (model(tensor([2], more=sized(13, b""))), "keeps its data in another file"),
        (model(tensor([2], more=tag(14, 0) + b"\x01")), "keeps its data in another file"),
        (model(tensor([1], kind=10, more=tag(5, 0) + varint(70000))), "out of the range of uint16"),
        (model(tensor([1], kind=3, more=tag(5, 0) + varint(200))), "out of the range of int8"),
        (model(tensor([2, 1, 1, 1], kind=3, data=bytes(2)), node(b"Conv", [b"x", b"w"])), "holds int8"),
        (model(tensor([2], kind=17, data=bytes(2)), node(b"Conv", [b"x", b"w"])), "data type 17"),
        (model(sized(3, b"")), "GraphProto has no field 3"),
        (model(K, node(b"", [b"x"])), "lacks an operation or an output"),
        (model(K, node(b"Conv", [b"x", b"w", b"w"])), "a bias of"),
        (model(M, tensor([3], b"b", data=floats(3)), node(b"Gemm", [b"x", b"w", b"b"], more=sized(5, sized(
            1, b"transB") + b"\x18\x01"))), r"a weight of shape \(2, 3\), out first, and a bias of \(3,\)"),
        (model(K, node(b"a\nb", [b"q\nr"])), r"takes 'q\\nr', which nothing gives"),
        (model(K, node(b"BatchNormalization", NORM)), "has parameters of the shapes"),
        (model(tensor([2], data=floats(2)), node(b"BatchNormalization", NORM, more=sized(5, sized(
            1, b"epsilon") + b"\x15" + struct.pack("<f", np.nan)))), "has the epsilon nan"),
        (b"\x08\x08" + tag(7, 2) + varint(1 << 50), "bytes, 0 are there"),
        (model(tag(5, 2) + varint(1 << 50)), "are there"),
    ],
)  # fmt: skip
def test_damage(tmp_path, data, match):
    tracemalloc.start()
    try:
        refused(tmp_path / "x", data, match)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_identities_in_a_circle(tmp_path):
    parts = [node(b"Identity", [b"a"], b"b"), node(b"Identity", [b"b"], b"a"), node(b"Conv", [b"x", b"a"])]
    (tmp_path / "x").write_bytes(model(*parts))
    assert "left out" in read(tmp_path / "x")[2][0]


def test_one_matrix_taken_both_ways(tmp_path):
    square = tensor([2, 2], data=floats(4))
    turned = sized(5, sized(1, b"transB") + b"\x18\x01")
    (tmp_path / "x").write_bytes(
        model(square, node(b"Gemm", [b"x", b"w"], b"y"), node(b"Gemm", [b"y", b"w"], b"z", turned))
    )
    arrays, nodes, _ = read(tmp_path / "x")
    first, second = (arrays[item.tensors[0]].tolist() for item in nodes)
    assert first == [[0, 2], [1, 3]] and second == [[0, 1], [2, 3]]


def test_newer_fields_are_skipped_only_in_newer_files(tmp_path):
    new = sized(50, b"new")
    (tmp_path / "x").write_bytes(model(K, new, version=onnx_file.KNOWN_IR + 1))
    assert list(read(tmp_path / "x")[0]) == ["w"]
    refused(tmp_path / "x", model(K, new), "GraphProto has no field 50")


def test_what_is_left_out_is_reported(tmp_path):
    turned = sized(5, sized(1, b"alpha") + b"\x15" + struct.pack("<f", 0.5))
    parts = [node(b"Gemm", [b"x", b"w"], b"y", turned), node(b"Genn", [b"y", b"w"], b"z")]
    (tmp_path / "x").write_bytes(model(M, *parts, tensor([2], b"e", 17, bytes(2)), more=sized(25, b"")))
    arrays, nodes, warnings = read(tmp_path / "x")
    assert list(arrays) == ["w"] and not nodes and len(warnings) == 4
    for warning, part in zip(
        warnings, ("'e' is left out", "'y' is left", "'Genn' 'z' is left", "fun"), strict=True
    ):
        assert part in warning


def test_many_nodes(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_NODES", 10)
    refused(tmp_path / "x", model(*[node(b"Relu", [b"x"])] * 11), "more than 10 operations")
