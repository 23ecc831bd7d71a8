"""Reading .safetensors: what its library wrote comes back equal; damaged and hostile files are refused."""

import json
import struct

import golden_arrays as golden
import numpy as np
import pytest

from nst_manual.errors import ResourceError, WeightsError
from nst_manual.nets.preprocessing import Preprocessing
from nst_manual.store import safetensors_file as reader
from nst_manual.store.said import said_preprocessing


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(shape=(2,), dtype="F32", offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def refused(path, match):
    with pytest.raises(WeightsError, match=match) as caught:
        golden.read_all(reader, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(caught.value.cause) < 300


def test_layers():
    path = golden.FILES / "layers.safetensors"
    expected = {k: x.transpose(3, 2, 0, 1) if x.ndim == 4 else x for k, x in golden.layers().items()}
    assert golden.same(golden.read_all(reader, path), expected)
    assert reader.matches(path.read_bytes()[:4096])
    with reader.open_archive(path) as archive:
        assert (archive.axes, archive.preprocessing, archive.nodes) == ("OIHW", None, ())


def test_every_kind_of_number_and_what_the_file_says():
    path = golden.FILES / "kinds.safetensors"
    assert golden.same(golden.read_all(reader, path), golden.kinds())
    with reader.open_archive(path) as archive:
        assert archive.preprocessing == Preprocessing("BGR", (103.5, 116.25, 123.75), 0.5, (1, 2, 4))


def test_bfloat16():
    found = golden.read_all(reader, golden.FILES / "bfloat16.safetensors")
    assert golden.same(found, {"half": golden.rounded_to_bfloat16()})


def test_tensors_are_read_in_any_order_and_again():
    with reader.open_archive(golden.FILES / "kinds.safetensors") as archive:
        for name in sorted(archive.tensors, reverse=True) * 2:
            assert np.array_equal(archive.tensors[name].read(), golden.kinds()[name])


@pytest.mark.parametrize("origin, axes", [("tf", "HWIO"), ("flax", "HWIO"), ("pt", "OIHW"), ("np", "OIHW")])
def test_axes_by_origin(tmp_path, origin, axes):
    path = write(tmp_path / "x", {"__metadata__": {"format": origin}, "a": entry()}, bytes(8))
    with reader.open_archive(path) as archive:
        assert archive.axes == axes and list(archive.tensors) == ["a"]


@pytest.mark.parametrize("name", ["layers", "kinds", "bfloat16"])
def test_cut(tmp_path, name):
    for data in golden.cut((golden.FILES / f"{name}.safetensors").read_bytes()):
        (tmp_path / "x").write_bytes(data)
        refused(tmp_path / "x", "damaged or truncated")


@pytest.mark.parametrize("name", ["layers", "kinds", "bfloat16"])
def test_one_bit_flipped(tmp_path, name):
    path = golden.FILES / f"{name}.safetensors"
    shapes = sorted(x.shape for x in golden.read_all(reader, path).values())
    errors = 0
    for data in golden.flip(path.read_bytes()):
        (tmp_path / "x").write_bytes(data)
        try:
            found = golden.read_all(reader, tmp_path / "x")
        except WeightsError as error:
            errors += 1
            assert "\n" not in str(error)
        else:
            assert sorted(x.shape for x in found.values()) == shapes
    assert errors > 20


@pytest.mark.parametrize(
    "header, match",
    [
        (b"[1]", "not a JSON object"),
        (b'{"a": ', "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' * 100_000, "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"{}", "no arrays"),
        ({"a": 3}, "has no dtype"),
        ({"a": {}}, "holds 'None'"),
        ({"a": entry(dtype="F8_E4M3")}, "'a' holds 'F8_E4M3'"),
        ({"a": entry(dtype="BOOL")}, "'a' holds 'BOOL'"),
        ({"a": entry(dtype=["F32"])}, "'a' holds"),
        ({"a": entry(shape=[-2])}, "no usable shape"),
        ({"a": entry(shape=[2.0])}, "no usable shape"),
        ({"a": entry(shape=[True, 2])}, "no usable shape"),
        ({"a": entry(shape=[1] * 40 + [2])}, "no usable shape"),
        ({"a": entry(shape=[1 << 70])}, "no usable shape"),
        ({"a": entry(shape=[10**13])}, "declares 8 bytes"),
        ({"a": entry(offsets=[0])}, "no usable shape"),
        ({"a": entry(offsets=[-8, 0])}, "no usable shape"),
        ({"a": entry(offsets=[8, 0])}, "declares -8 bytes"),
        ({"a": entry(offsets=[1, 9])}, "begins at 1, expected 0"),
        ({"a": entry(), "b": entry()}, "'b' begins at 0, expected 8"),
        ({"a": entry(), "b": entry(offsets=[4, 12])}, "'b' begins at 4"),
        ({"a": entry(), "b": entry(offsets=[8, 16])}, "declares 16 bytes of data, 8 are there"),
        ({"a": entry(shape=[1], offsets=[0, 4])}, "declares 4 bytes of data, 8 are there"),
        ({"a": entry(), "__metadata__": {"order": 3}}, "metadata"),
        ({"a": entry(), "__metadata__": [1]}, "metadata"),
        ({"a": entry(), "__metadata__": {"order": "RGB", "mean": "soon"}}, "unusable attributes order 'RGB'"),
        ({"a": entry(), "__metadata__": {"order": "RGB", "mean": "[1, 2]"}}, r"mean \[1, 2\]"),
        ({"a": entry(), "__metadata__": {"order": "RGB", "mean": "[" * 9999}}, "unusable attributes"),
        ({"a\nb": {}}, r"'a\\nb' holds"),
    ],
)
def test_headers_that_make_no_sense(tmp_path, header, match):
    refused(write(tmp_path / "x.safetensors", header, bytes(8)), match)


@pytest.mark.parametrize("length", [9, 1000, 90_000_000, 1 << 40, (1 << 64) - 1])
def test_a_header_that_is_not_there_is_not_allocated(tmp_path, length):
    path = write(tmp_path / "x", b"{}", length=length)
    assert golden.peak_of(lambda: refused(path, f"declares {length} bytes, 2 are there")) < 1 << 20


def test_a_header_that_is_too_long(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.write(struct.pack("<Q", 50_000_000) + b"{")
        file.truncate(60_000_000)
    assert golden.peak_of(lambda: refused(tmp_path / "x", "header of 50000000 bytes")) < 1 << 20


def test_a_file_that_shrinks_while_it_is_open(tmp_path):
    path = write(tmp_path / "x", {"a": entry([25_000], offsets=[0, 100_000])}, bytes(100_000))
    with reader.open_archive(path) as archive:
        with path.open("r+b") as file:
            file.truncate(50_000)
        with pytest.raises(WeightsError, match="'a' ends after [0-9]+ of 100000 bytes"):
            archive.tensors["a"].read()


def test_no_file_and_no_memory(tmp_path, monkeypatch):
    refused(tmp_path / "none", "cannot be read, No such file")

    def full(*_):
        raise MemoryError

    with reader.open_archive(golden.FILES / "layers.safetensors") as archive:
        monkeypatch.setattr(np, "frombuffer", full)
        with pytest.raises(ResourceError):
            archive.tensors["fc6.bias"].read()


def test_matches_only_its_own():
    for head in (b"", b"{", bytes(20), b"PK\x03\x04" + bytes(30), b"\x89HDF\r\n\x1a\n{", b"<!DOCTYPE html>"):
        assert not reader.matches(head)


@pytest.mark.parametrize(
    "values",
    [
        {"order": "GBR", "mean": [1, 2, 3]},
        {"order": 3, "mean": [1, 2, 3]},
        {"order": np.array(["RGB", "BGR"]), "mean": [1, 2, 3]},
        {"order": "RGB", "mean": [1, 2, np.nan]},
        {"order": "RGB", "mean": [[1], [2, 3]]},
        {"order": "RGB", "mean": [1, 2, 3], "scale": 0},
        {"order": "RGB", "mean": [1, 2, 3], "scale": [1, 2]},
        {"order": "RGB", "mean": [1, 2, 3], "std": [1, 0, 1]},
        {"order": "RGB", "mean": [1, 2, 10**400]},
        {"order": "RGB", "mean": np.zeros(1000)},
    ],
)
def test_what_a_file_says_is_checked(values):
    with pytest.raises(WeightsError, match="f: has unusable attributes order") as caught:
        said_preprocessing("f", values)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_what_a_file_says_needs_order_and_mean():
    assert said_preprocessing("f", {"mean": "anything"}) is said_preprocessing("f", {"order": 3}) is None
    assert said_preprocessing("f", {"order": "RGB", "mean": (1, 2, 3)}) == Preprocessing("RGB", (1, 2, 3))
