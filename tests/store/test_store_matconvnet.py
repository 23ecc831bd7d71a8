"""Reading MatConvNet's .mat: what SciPy wrote comes back equal; damaged and hostile files are refused."""

import math
import struct
import sys
import zlib

import golden_arrays as golden
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from nst_manual.errors import ResourceError, WeightsError
from nst_manual.nets.preprocessing import Preprocessing
from nst_manual.store import mat5, unpack
from nst_manual.store import matconvnet as reader

NAMES = ["new", "new_packed", "old", "old_packed"]
TYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
CLASSES = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14, "u8": 15}


class Writer:
    """The bytes of MAT files by hand, for what SciPy does not write."""

    def __init__(self, order="<"):
        self.order = order

    def tag(self, kind, size):
        return struct.pack(self.order + "II", kind, size)

    def element(self, kind, data):
        return self.tag(kind, len(data)) + data + bytes(-len(data) % 8)

    def ints(self, kind, *values):
        return self.element(kind, struct.pack(f"{self.order}{len(values)}{'iI'[kind == 6]}", *values))

    def matrix(self, kind, shape, body=b"", name=b"", flags=0):
        head = self.ints(6, kind | flags, 0) + self.ints(5, *shape) + self.element(1, name)
        return self.element(14, head + body)

    def numbers(self, array, stored=None, name=b"", flags=0):
        code = array.dtype.str[1:]
        stored = stored or code
        data = array.astype(self.order + stored).tobytes(order="F")
        shape = array.shape if array.ndim > 1 else (1, array.size)
        return self.matrix(CLASSES[code], shape, self.element(TYPES[stored], data), name, flags)

    def text(self, text, kind=16, coding="utf-8"):
        return self.matrix(4, (1, len(text)), self.element(kind, text.encode(coding)))

    def cell(self, items, name=b""):
        return self.matrix(1, (1, len(items)), b"".join(items), name)

    def struct(self, fields, name=b"", shape=(1, 1)):
        names = b"".join(key.encode().ljust(16, b"\0") for key in fields)
        # The size of the names is a short element.
        size = struct.pack(self.order + "II", 4 << 16 | 5, 16)
        return self.matrix(2, shape, size + self.element(1, names) + b"".join(fields.values()), name)

    def packed(self, matrix, more=b""):
        data = zlib.compress(matrix) + more
        return self.tag(15, len(data)) + data

    def file(self, path, *matrices, text=b"MATLAB 5.0 MAT-file by hand"):
        version = {"<": b"\x00\x01IM", ">": b"\x01\x00MI"}[self.order]
        path.write_bytes(text.ljust(116) + bytes(8) + version + b"".join(matrices))
        return path


LE = Writer()
KERNEL = np.arange(24, dtype="f4").reshape(2, 2, 3, 2)


def conv(w=LE, kernel=None, bias=None, **more):
    """A layer's struct, its fields replaced by `more`."""
    kernel = w.numbers(KERNEL) if kernel is None else kernel
    bias = w.numbers(np.arange(2.0)) if bias is None else bias
    fields = {"type": w.text("conv"), "name": w.text("conv1_1"), "weights": w.cell([kernel, bias])} | more
    return w.struct({key: value for key, value in fields.items() if value is not None})


def network(path, *layers, w=LE, others=()):
    return w.file(path, w.cell(layers, b"layers"), *others)


def refused(path, match):
    with pytest.raises(WeightsError, match=match) as caught:
        golden.read_all(reader, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(caught.value.cause) < 300


@pytest.mark.parametrize("name", NAMES)
def test_published_layouts(name):
    path = golden.FILES / f"{name}.mat"
    assert golden.same(golden.read_all(reader, path), golden.layers())
    assert reader.matches(path.read_bytes()[:4096])
    with reader.open_archive(path) as archive:
        assert archive.axes == "HWIO" and list(archive.tensors) == list(golden.layers())
        assert archive.preprocessing == Preprocessing("RGB", golden.MEAN_RGB)


@pytest.mark.parametrize("name", NAMES)
def test_scipy_sees_the_published_structure(name):
    """As readers of the published files take it: layers[0][i][0][0], then by the fields' names."""
    found = loadmat(golden.FILES / f"{name}.mat")
    layer = found["layers"][0][0][0][0]
    kernel = layer["filters"] if name.startswith("old") else layer["weights"][0][0]
    assert np.array_equal(kernel, golden.layers()["conv1_1.weight"]) and layer["name"][0] == "conv1_1"
    where = found if name.startswith("old") else found["meta"][0][0]
    mean = where["normalization"][0][0]["averageImage"].mean(axis=(0, 1))
    assert tuple(mean) == golden.MEAN_RGB


@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_read_in_any_order_and_again(name):
    with reader.open_archive(golden.FILES / f"{name}.mat") as archive:
        for tensor in sorted(archive.tensors, reverse=True) * 2:
            assert np.array_equal(archive.tensors[tensor].read(), golden.layers()[tensor])


@pytest.mark.parametrize("name", NAMES)
def test_unpacking_goes_on_from_marks(monkeypatch, name):
    monkeypatch.setattr(unpack, "STEP", 100)
    monkeypatch.setattr(unpack, "PIECE", 64)
    monkeypatch.setattr(unpack, "PACKED_PIECE", 16)
    test_tensors_are_read_in_any_order_and_again(name)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
def test_both_byte_orders_and_narrow_numbers(tmp_path, order, packed):
    w = Writer(order)
    coding = {"<": "utf-16-le", ">": "utf-16-be"}[order]
    kernel = w.numbers(KERNEL.astype("f8"), "u1")  # as MATLAB stores whole numbers
    layers = [
        conv(w, kernel, name=w.text("a", 17, coding)),
        conv(w, bias=w.numbers(np.array([[1], [2]], "i2")), name=w.text("b", 4, coding)),
        w.struct({"type": w.text("relu"), "name": w.text("relu1_1"), "weights": w.cell([])}),
    ]
    matrix = w.cell(layers, b"layers")
    path = w.file(tmp_path / "x.mat", w.packed(matrix) if packed else matrix)
    assert reader.matches(path.read_bytes())
    found = golden.read_all(reader, path)
    expected = {"a.weight": KERNEL.astype("f8"), "a.bias": np.arange(2.0), "b.weight": KERNEL}
    assert golden.same(found, expected | {"b.bias": np.array([1, 2], "i2")})


def test_axes_that_matlab_drops_and_no_bias(tmp_path):
    for shape in ((3, 3, 5), (3, 3), (1, 5)):
        kernel = np.arange(math.prod(shape), dtype="f4").reshape(shape)
        path = network(
            tmp_path / "x.mat", conv(kernel=LE.numbers(kernel), bias=LE.numbers(np.zeros((1, 1), "f4")))
        )
        found = golden.read_all(reader, path)
        assert np.array_equal(found["conv1_1.weight"], kernel.reshape((*shape, 1, 1)[:4]))
        assert found["conv1_1.bias"].shape == (1,)
    path = network(tmp_path / "x.mat", conv(bias=LE.tag(14, 0)))
    assert list(golden.read_all(reader, path)) == ["conv1_1.weight"]


def test_saved_inside_net(tmp_path):
    fields = {"layers": LE.cell([conv()])}
    path = LE.file(tmp_path / "x.mat", LE.struct(fields, b"net"))
    assert list(golden.read_all(reader, path)) == ["conv1_1.weight", "conv1_1.bias"]


def test_variables_of_other_kinds_are_skipped(tmp_path):
    others = [
        LE.matrix(5, (3, 3), bytes(40), b"sparse"),
        LE.matrix(6, (1, 1), bytes(40), b"complex", 0x800),
        LE.matrix(16, (1, 1), bytes(40), b"function"),
        LE.element(14, LE.ints(6, 17, 0) + LE.element(1, b"opaque") + bytes(24)),
        LE.packed(LE.matrix(3, (1, 1), bytes(1 << 20), b"object")),
        LE.matrix(4, (1, 5000), LE.element(16, b"x" * 5000), b"long text"),
    ]
    found = golden.read_all(reader, network(tmp_path / "x.mat", conv(), others=others))
    assert np.array_equal(found["conv1_1.weight"], KERNEL)


def meta(image, old=False):
    normalization = LE.struct({"averageImage": image}, b"normalization" if old else b"")
    return normalization if old else LE.struct({"normalization": normalization}, b"meta")


@pytest.mark.parametrize("old", [False, True])
def test_mean_colours(tmp_path, old):
    def said(image):
        path = network(tmp_path / "x.mat", conv(), others=[meta(image, old)])
        with reader.open_archive(path) as archive:
            return archive.preprocessing

    colour = np.array([3.0, 2.0, 1.0])
    expected = Preprocessing("RGB", (3, 2, 1))
    assert said(LE.numbers(colour)) == said(LE.numbers(colour.reshape(3, 1))) == expected
    assert said(LE.numbers(colour.reshape(1, 1, 3))) == expected
    assert said(LE.numbers(np.broadcast_to(colour, (5, 3, 3)))) == expected
    assert said(LE.tag(14, 0)) is None and said(LE.numbers(np.zeros((0, 0)))) is None
    for shape in ((4, 4), (4, 4, 1), (3, 3), (3, 2, 2), (1, 1)):
        with pytest.raises(WeightsError, match="averageImage of shape"):
            said(LE.numbers(np.zeros(shape)))
    with pytest.raises(WeightsError, match="averageImage of shape none"):
        said(LE.text("grey"))
    with pytest.raises(WeightsError, match="unusable attributes"):
        said(LE.numbers(np.array([1, np.nan, 2])))


@pytest.mark.parametrize("name", NAMES)
def test_cut(tmp_path, name):
    data = (golden.FILES / f"{name}.mat").read_bytes()
    expected = golden.layers()
    for part in golden.cut(data):
        (tmp_path / "x").write_bytes(part)
        refused(tmp_path / "x", "damaged")
    # At the end of the first of two variables there is nothing that shows it: the layers are all there.
    size = struct.unpack_from("<I", data, 132)[0]
    (tmp_path / "x").write_bytes(data[: 136 + size])
    assert golden.same(golden.read_all(reader, tmp_path / "x"), expected)


@pytest.mark.parametrize("name", NAMES)
def test_one_bit_flipped(tmp_path, name):
    path = golden.FILES / f"{name}.mat"
    shapes = sorted(x.shape for x in golden.layers().values())
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
            assert "packed" not in name or golden.same(found, golden.layers())
    assert errors > 50


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "matrix",
    [
        LE.matrix(1, (1, 2**27), b"", b"layers"),
        LE.matrix(1, (2**31 - 1,) * 32, b"", b"layers"),
        LE.matrix(1, (1, -1), b"", b"layers"),
        LE.matrix(1, (1,), b"", b"layers"),
        LE.matrix(2, (1, 2**27), LE.ints(5, 8) + LE.element(1, b"name".ljust(8, b"\0")), b"layers"),
        LE.matrix(2, (1, 1), LE.ints(5, 0) + LE.element(1, b""), b"layers"),
        LE.matrix(2, (1, 1), LE.ints(5, 2**30) + LE.element(1, b""), b"layers"),
        LE.matrix(2, (1, 1), LE.ints(5) + LE.element(1, b""), b"layers"),
        LE.matrix(2, (1, 1), LE.ints(5, 2) + LE.element(1, b"a\0a\0") + LE.tag(14, 0) * 2, b"layers"),
        LE.matrix(7, (1, 2**27), LE.tag(7, 2**29), b"layers"),
        LE.matrix(7, (2**20, 2**20), LE.element(7, bytes(8)), b"layers"),
        LE.matrix(7, (1, 2), LE.element(99, bytes(8)), b"layers"),
        LE.matrix(7, (1, 2), LE.element(7, bytes(8)) + bytes(8), b"layers"),
        LE.matrix(1, (1, 1), conv() + conv(), b"layers"),
        LE.matrix(4, (1, 2**27), LE.tag(16, 2**27), b"layers"),
        LE.matrix(4, (1, 4), LE.element(9, bytes(4)), b"layers"),
        LE.matrix(1, (1, 1), LE.element(7, bytes(8)), b"layers"),
        LE.tag(14, 2**32 - 1) + bytes(64),
        LE.element(14, LE.ints(6, 1) + bytes(40)),
        LE.element(14, LE.ints(5, 1, 0) + bytes(40)),
        LE.element(14, struct.pack("<II", 60_000 << 16 | 6, 0) + bytes(40)),
        LE.element(7, bytes(64)),
    ],
)  # fmt: skip
def test_structures_that_make_no_sense(tmp_path, matrix, packed):
    path = LE.file(tmp_path / "x.mat", LE.packed(matrix) if packed else matrix)
    assert golden.peak_of(lambda: refused(path, "damaged or truncated")) < 1 << 20


def test_a_matrix_that_is_longer_than_the_cell_around_it(tmp_path):
    inner = LE.numbers(np.frombuffer(bytes(8) + LE.tag(14, 0)))
    refused(LE.file(tmp_path / "x.mat", LE.cell([inner[:-8]], b"layers"), inner[-8:]), "the matrix ends at")


@pytest.mark.parametrize("packed", [False, True])
def test_matrices_in_matrices(tmp_path, packed):
    """A cell in a cell in a cell, 100,000 times: SciPy's reader ends the process."""
    depth = 100_000
    before = LE.ints(6, 1, 0) + LE.ints(5, 1, 1) + LE.element(1, b"")
    levels = [LE.tag(14, (len(before) + 8) * i + len(before)) + before for i in range(depth)]
    matrix = b"".join(reversed(levels))
    path = LE.file(tmp_path / "x.mat", LE.packed(matrix) if packed else matrix)
    limit = sys.getrecursionlimit()
    assert golden.peak_of(lambda: refused(path, "16 one in another")) < 1 << 20
    assert sys.getrecursionlimit() == limit


def test_too_many_matrices(tmp_path, monkeypatch):
    path = LE.file(tmp_path / "x.mat", LE.packed(LE.cell([LE.tag(14, 0)] * 6000, b"x")))
    refused(path, "has no cell array")
    monkeypatch.setattr(mat5, "MAX_MATRICES", 5000)
    assert golden.peak_of(lambda: refused(path, "more than 5000 matrices")) < 8 << 20


def test_bombs(tmp_path):
    bomb = LE.numbers(np.zeros(50_000_000, "u1"), name=b"x")
    # An honest one is walked through, a piece at a time, and not kept.
    path = network(tmp_path / "x.mat", conv(), others=[LE.packed(bomb)])
    assert golden.peak_of(lambda: golden.read_all(reader, path)) < 8 << 20
    # One that goes on after what it declares, and one that cannot reach it.
    path = LE.file(tmp_path / "x.mat", LE.packed(LE.numbers(np.zeros(8), name=b"x") + bytes(50_000_000)))
    assert golden.peak_of(lambda: refused(path, "more than the 128 bytes declared")) < 8 << 20
    path = LE.file(tmp_path / "x.mat", LE.packed(bomb[: len(bomb) // 2]))
    assert golden.peak_of(lambda: refused(path, "damaged or truncated")) < 8 << 20
    path = LE.file(tmp_path / "x.mat", LE.packed(bomb[:1000]))
    assert golden.peak_of(lambda: refused(path, "impossible")) < 1 << 20


def test_what_is_packed_has_a_limit(tmp_path, monkeypatch):
    path = LE.file(tmp_path / "x.mat", *(LE.packed(LE.numbers(np.zeros(500), name=x)) for x in (b"x", b"y")))
    refused(path, "has no cell array")
    monkeypatch.setattr(mat5, "MAX_UNPACKED", 5000)
    refused(path, "unpacks to more than 5000 bytes")


def test_packed_bytes_are_checked(tmp_path):
    matrix = LE.cell([conv()], b"layers")
    wrong = bytearray(LE.packed(matrix))
    wrong[-1] ^= 1
    refused(LE.file(tmp_path / "x.mat", bytes(wrong)), "checksum mismatch")
    refused(LE.file(tmp_path / "x.mat", LE.packed(matrix, bytes(100))), "bytes after the packed ones")
    refused(LE.file(tmp_path / "x.mat", LE.packed(LE.packed(matrix))), "type 15, expected a matrix")
    refused(LE.file(tmp_path / "x.mat", LE.tag(15, 0)), "damaged or truncated")


@pytest.mark.parametrize(
    "layer, match",
    [
        (conv(weights=LE.cell([LE.text("text")] * 2)), "layer 1 has weights that are not real numbers"),
        (conv(kernel=LE.numbers(KERNEL, flags=0x800)), "not real numbers"),
        (conv(weights=None), "should have a kernel and a bias"),
        (conv(weights=LE.cell([LE.numbers(KERNEL)])), "should have a kernel and a bias, found 1"),
        (conv(weights=None, filters=LE.numbers(KERNEL)), "or lacks some"),
        (conv(weights=None, biases=LE.numbers(KERNEL)), "or lacks some"),
        (conv(weights=LE.cell([LE.numbers(KERNEL)] * 3)), "should have a kernel and a bias"),
        (conv(kernel=LE.tag(14, 0)), "should have a kernel and a bias, found 1"),
        (conv(kernel=LE.numbers(np.zeros((1, 1, 1, 2, 2)))), "kernel of shape .*, expected four axes"),
        (conv(bias=LE.numbers(np.zeros(3))), "bias of shape .*, expected 2 numbers"),
        (conv(bias=LE.numbers(np.zeros((2, 2)))), "bias of shape .*, expected 2 numbers"),
        (conv(type=None), "layer 1 is not a struct with a type"),
        (conv(type=LE.text("comv")), "layer 1 has weights, its type is 'comv'"),
        (conv(name=None), "layer 1 has no name"),
        (conv(name=LE.text("")), "layer 1 has no name"),
        (conv(name=LE.text("x" * 2000)), "layer 1 has no name"),
        (LE.numbers(KERNEL), "layer 1 is not a struct"),
        (LE.struct({"type": LE.text("relu")}), "has no layer with weights"),
    ],
)
def test_layers_that_make_no_sense(tmp_path, layer, match):
    refused(network(tmp_path / "x.mat", layer), match)


def test_other_networks_and_files(tmp_path):
    path = tmp_path / "x.mat"
    refused(network(path, conv(), conv()), "layer 2 has no name of its own, but 'conv1_1'")
    refused(network(path), "has no cell array layers")
    refused(LE.file(path, LE.cell([conv()], b"x"), LE.cell([conv()], b"x")), "two variables 'x'")
    refused(LE.file(path, LE.struct({"type": LE.text("dagnn.Conv")}, b"layers")), "is a DagNN network")
    savemat(path, {"a": np.zeros(3)})
    refused(path, "has no cell array layers")
    savemat(path, {"a": np.zeros(3)}, format="4")
    refused(path, "not a MAT file of version 5")
    path.write_bytes(b"MATLAB 7.3 MAT-file, by hand".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert reader.matches(path.read_bytes())
    refused(path, r"version 7.3 \(save it in MATLAB with -v7\)")
    refused(tmp_path / "none", "cannot be read, No such file")
    refused(tmp_path, "cannot be read, Is a directory")
    assert not any(map(reader.matches, (b"", bytes(200), b"PK\x03\x04" + bytes(200), b"\x89HDF\r\n\x1a\n")))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_shrinks_and_no_memory(tmp_path, monkeypatch, name):
    path = tmp_path / "x.mat"
    path.write_bytes((golden.FILES / f"{name}.mat").read_bytes())
    with reader.open_archive(path) as archive, monkeypatch.context() as patch:
        patch.setattr(unpack, "PACKED_PIECE", 16)
        path.write_bytes(b"")
        with pytest.raises(WeightsError, match="damaged or truncated"):
            for tensor in archive.tensors.values():
                tensor.read()

    def full(*_):
        raise MemoryError

    with reader.open_archive(golden.FILES / f"{name}.mat") as archive:
        monkeypatch.setattr(np, "frombuffer", full)
        with pytest.raises(ResourceError):
            archive.tensors["fc6.bias"].read()


def test_without_a_mean_the_input_is_guessed_as_all_of_the_format_are(tmp_path):
    from nst_manual import store
    from nst_manual.nets.preprocessing import MATCONVNET

    kernel = np.random.default_rng(0).standard_normal((3, 3, 3, 4)).astype("f4")
    weights, layers = np.empty((1, 2), object), np.empty((1, 1), object)
    weights[0, 0], weights[0, 1] = kernel, np.zeros((1, 4), "f4")
    layer = np.zeros((1, 1), [(name, object) for name in ("name", "type", "weights")])
    layer[0, 0] = ("conv1_1", "conv", weights)
    layers[0, 0] = layer
    savemat(tmp_path / "x.mat", {"layers": layers})
    found = store.load_weights(tmp_path / "x.mat", "vgg16", {"conv1_1": ((3, 3, 3, 4), (4,))})
    np.testing.assert_array_equal(found.arrays["conv1_1"][0], kernel)
    assert found.preprocessing == MATCONVNET
    assert any("guessed, as of other files of MatConvNet" in warning for warning in found.warnings)
