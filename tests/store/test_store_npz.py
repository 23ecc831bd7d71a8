"""Reading .npz: what NumPy wrote comes back equal; pickles, bombs and damaged files are refused."""

import io
import struct
import warnings
import zipfile
import zlib

import golden_arrays as golden
import numpy as np
import pytest

from nst_manual.errors import ResourceError, WeightsError
from nst_manual.nets.preprocessing import Preprocessing
from nst_manual.store import npz as reader


def npy(array, version=None):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), version)
    return stream.getvalue()


def npy_header(text, data=b""):
    text = text.encode() if isinstance(text, str) else text
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def write(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, data in members:
            opened.writestr(name, data)
    return path


def refused(path, match):
    with pytest.raises(WeightsError, match=match) as caught:
        golden.read_all(reader, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(caught.value.cause) < 400


def test_layers():
    path = golden.FILES / "layers.npz"
    assert golden.same(golden.read_all(reader, path), golden.layers())
    assert reader.matches(path.read_bytes()[:4096])
    with reader.open_archive(path) as archive:
        assert archive.preprocessing is None and list(archive.tensors) == list(golden.layers())


def test_every_kind_of_number_packed_and_what_the_file_says():
    path = golden.FILES / "kinds.npz"
    expected = golden.kinds()
    expected |= {"big-endian": expected["kind/f4"], "Fortran": expected["kind/f8"]}
    assert golden.same(golden.read_all(reader, path), expected)
    with reader.open_archive(path) as archive:
        assert archive.preprocessing == Preprocessing("BGR", (103.5, 116.25, 123.75), 0.5, (1, 2, 4))


def test_a_tensor_may_be_called_scale(tmp_path):
    np.savez(tmp_path / "x.npz", scale=np.arange(3.0), mean=np.arange(4.0))
    assert list(golden.read_all(reader, tmp_path / "x.npz")) == ["scale", "mean"]


def test_other_versions_of_the_header(tmp_path):
    path = write(tmp_path / "x.npz", [("a.npy", npy(np.arange(3.0), (2, 0)))])
    assert np.array_equal(golden.read_all(reader, path)["a"], np.arange(3.0))
    # Python 2 wrote long integers with an L, at which NumPy warns.
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }"
    path = write(tmp_path / "x.npz", [("a.npy", npy_header(text, bytes(8)))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert golden.read_all(reader, path)["a"].shape == (2,)
    refused(write(tmp_path / "x.npz", [("a.npy", npy(np.arange(3.0), (3, 0)))]), "version")


@pytest.mark.parametrize("name", ["layers", "kinds"])
def test_cut(tmp_path, name):
    for data in golden.cut((golden.FILES / f"{name}.npz").read_bytes()):
        (tmp_path / "x").write_bytes(data)
        refused(tmp_path / "x", "damaged or truncated")


@pytest.mark.parametrize("name", ["layers", "kinds"])
def test_one_bit_flipped(tmp_path, name):
    path = golden.FILES / f"{name}.npz"
    expected = golden.read_all(reader, path)
    errors = 0
    for data in golden.flip(path.read_bytes(), 400):
        (tmp_path / "x").write_bytes(data)
        try:
            found = golden.read_all(reader, tmp_path / "x")
        except WeightsError as error:
            errors += 1
            assert "\n" not in str(error)
        else:  # a date, say: the checksum covers all values
            assert golden.same(found, expected)
    assert errors > 100


def test_objects_are_refused_and_nothing_is_executed(tmp_path):
    touched = tmp_path / "touched"

    class Hostile:
        def __reduce__(self):
            return (open, (str(touched), "w"))

    np.savez(tmp_path / "x.npz", a=np.array([Hostile()], object))
    refused(tmp_path / "x.npz", "'a.npy' holds Python objects")
    np.savez(tmp_path / "x.npz", order=np.array([Hostile()], object), mean=np.zeros(3))
    refused(tmp_path / "x.npz", "'order.npy' holds Python objects")
    np.savez(tmp_path / "x.npz", a=np.zeros(2, [("f", "f4"), ("o", object)]))
    refused(tmp_path / "x.npz", "holds Python objects")
    assert not touched.exists()


@pytest.mark.parametrize(
    "array",
    [np.array([True]), np.array(["text"]), np.zeros(3, "c8"), np.zeros(2, "i4,f4"), np.zeros(2, "M8[s]")],
)
def test_other_types_are_refused(tmp_path, array):
    np.savez(tmp_path / "x.npz", a=np.zeros(3), b=array)
    refused(tmp_path / "x.npz", "'b' holds .*, expected floats or integers")


@pytest.mark.parametrize(
    "shape",
    [
        "(10000000000000,)",
        "(3,)",
        "(1,)",
        f"({2**70},)",
        "(-2,)",
        "(-1, -2)",
        "(True, 2)",
        f"({'1,' * 60}2)",
    ],
)
def test_shapes_that_do_not_fit(tmp_path, shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    path = write(tmp_path / "x.npz", [("a.npy", npy_header(text, bytes(8)))])
    match = "needs .* bytes, 8 are there|unusable shape|no usable"
    assert golden.peak_of(lambda: refused(path, match)) < 1 << 20


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00" + bytes(200),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(200),
        npy_header("nothing of use"),
        npy_header("(" * 9000),
        npy_header("[" * 150 + "]" * 150),
        npy_header("-" * 9000 + "1"),
        npy_header("{'descr': '<f4'}"),
        npy_header("{'descr': '<q9', 'fortran_order': False, 'shape': (2,)}"),
        npy_header("{'descr': '<f4', 'fortran_order': 3, 'shape': (2,)}"),
        npy_header("__import__('os').getcwd()"),
        npy_header(b"\xff" * 100),
        npy_header(" " * 20_000),
    ],
)
def test_headers_that_make_no_sense(tmp_path, data):
    path = write(tmp_path / "x.npz", [("a.npy", data)])
    assert golden.peak_of(lambda: refused(path, "damaged, 'a.npy' has no usable header")) < 4 << 20


def declare(path, size, crc=None):
    """Change what the file's last member declares to unpack to, in both places."""
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        position = data.rindex(signature)
        struct.pack_into("<I", data, position + at, size)
        if crc is not None:
            struct.pack_into("<I", data, position + at - 8, crc)
    path.write_bytes(data)
    return path


def header_for(count):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count},), }}"
    return npy_header(text)


def test_a_size_that_deflate_cannot_reach(tmp_path):
    head = header_for(10**9 - 30)
    path = write(tmp_path / "x.npz", [("a.npy", head + bytes(100))])
    declare(path, len(head) + 4 * (10**9 - 30))
    assert golden.peak_of(lambda: refused(path, "packed in .*: impossible")) < 1 << 20
    path = write(tmp_path / "x.npz", [("a.npy", head + bytes(100))], zipfile.ZIP_STORED)
    declare(path, len(head) + 4 * (10**9 - 30))
    assert golden.peak_of(lambda: refused(path, "impossible|damaged or truncated")) < 1 << 20


def test_less_data_than_declared_allocates_only_what_comes(tmp_path):
    # 40 kB that do not pack; they could be 40 MB if they were zeros.
    noise = np.random.default_rng(0).integers(0, 256, 40_000, "u1").tobytes()
    head = header_for(10**7)
    path = declare(write(tmp_path / "x.npz", [("a.npy", head + noise)]), len(head) + 4 * 10**7)
    assert golden.peak_of(lambda: refused(path, "damaged or truncated|checksum")) < 4 << 20


def test_more_data_than_declared_is_not_unpacked(tmp_path):
    head = header_for(100)
    path = write(tmp_path / "x.npz", [("a.npy", head + bytes(50_000_000))])
    declare(path, len(head) + 400)
    assert golden.peak_of(lambda: refused(path, "checksum")) < 4 << 20
    # With the right checksum of what was declared, that is what there is.
    declare(path, len(head) + 400, zlib.crc32(head + bytes(400)))
    assert golden.peak_of(lambda: golden.read_all(reader, path)) < 4 << 20


def test_an_honest_bomb_is_opened_without_unpacking_it(tmp_path):
    path = write(tmp_path / "x.npz", [("a.npy", header_for(10**7) + bytes(4 * 10**7))])

    def look():
        with reader.open_archive(path) as archive:
            assert archive.tensors["a"].shape == (10**7,)

    assert golden.peak_of(look) < 4 << 20


def test_members(tmp_path):
    one = npy(np.arange(3.0))
    path = tmp_path / "x.npz"
    refused(write(path, []), "holds no arrays")
    refused(write(path, [("a.npy", one), ("readme.txt", b"")]), "a member 'readme.txt', expected .npy")
    refused(write(path, [("a.npy", one)], zipfile.ZIP_BZIP2), "packed in another way")
    with pytest.warns(UserWarning, match="Duplicate name"):
        write(path, [("a.npy", one), ("a.npy", one)])
    refused(path, "two members of the same name")
    write(path, [("../../x.npy", one)])
    assert list(golden.read_all(reader, path)) == ["../../x"] and sorted(tmp_path.iterdir()) == [path]
    # The same bytes for two members.
    data = bytearray(write(path, [("a.npy", one), ("b.npy", one)], zipfile.ZIP_STORED).read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 42, 0)
    path.write_bytes(data)
    refused(path, "damaged")
    # Encrypted, it says.
    data = bytearray(write(path, [("a.npy", one)]).read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, "encrypted")


def test_a_list_of_members_that_begins_later(tmp_path):
    one = npy(np.arange(3.0))
    path = write(tmp_path / "x.npz", [("a.npy", one), ("b.npy", one)])
    data = bytearray(path.read_bytes())
    second, end = data.rindex(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    struct.pack_into("<HHII", data, end + 8, 1, 1, end - second, second)
    path.write_bytes(data)
    refused(path, "list of members does not fit")


def test_a_list_of_members_that_lacks_one(tmp_path):
    one = npy(np.arange(3.0))
    path = write(tmp_path / "x.npz", [("a.npy", one), ("b.npy", one), ("c.npy", one)])
    data = bytearray(path.read_bytes())
    third = data.rindex(b"PK\x01\x02")
    second = data.rindex(b"PK\x01\x02", 0, third)
    # The second's entry becomes a comment of the first, which is how one flipped bit can lose a member.
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 32, third - second)
    path.write_bytes(data)
    with zipfile.ZipFile(path) as opened:
        assert opened.namelist() == ["a.npy", "c.npy"]
    refused(path, "list of members does not fit")


def test_what_the_file_says_is_checked(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros(2), order="RGB", mean=np.zeros(4))
    refused(path, "unusable attributes order 'RGB'")
    np.savez(path, a=np.zeros(2), order="RGB", mean=np.zeros(4000))
    refused(path, "mean has an unusable shape")
    np.savez(path, a=np.zeros(2), order=b"RGB", mean=np.zeros(3))
    with reader.open_archive(path) as archive:
        assert archive.preprocessing == Preprocessing("RGB", (0, 0, 0)) and list(archive.tensors) == ["a"]


def test_a_single_array_and_other_zips(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    assert reader.matches((tmp_path / "x.npy").read_bytes())
    refused(tmp_path / "x.npy", r"single array.*\(save them by numpy.savez\)")
    torch = write(tmp_path / "x.pth", [("x/data.pkl", b""), ("x/data/0.npy", b"")])
    assert reader.matches(torch.read_bytes())
    refused(write(tmp_path / "x.zip", [("readme.txt", b"")]), "expected .npy only")
    assert not reader.matches(b"") and not reader.matches(b"\x89HDF\r\n\x1a\n")
    refused(tmp_path / "none", "cannot be read, No such file")
    refused(tmp_path, "cannot be read, Is a directory")


def test_no_memory(monkeypatch):
    def full(*_):
        raise MemoryError

    with reader.open_archive(golden.FILES / "layers.npz") as archive:
        monkeypatch.setattr(np, "frombuffer", full)
        with pytest.raises(ResourceError):
            archive.tensors["fc6.bias"].read()
