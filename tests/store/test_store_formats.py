"""Every format through `load_weights` and `check_weights`: recognised by content, damage never in silence."""

import hashlib
import json
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
from golden_arrays import FILES
from PIL import Image
from scipy.io import savemat
from store_files import SMALL, VGG16, VGG19, random_arrays, vgg_shapes, write_keras
from test_store_protobuf import sized, tag, varint
from test_store_pth import dictionary, tensor
from test_store_pth import write as write_pth

from nst_manual import store
from nst_manual.errors import WeightsError
from nst_manual.store import checksum, formats, layouts, own_hdf5
from nst_manual.store.known import KNOWN

MEAN_RGB = (123.5, 116.75, 104.0)

# -- files of every format, of layer -> (kernel (kh, kw, in, out), bias) -------------------------------------


def flat(arrays):
    """Return "conv1_1.weight" (out, in, kh, kw), "conv1_1.bias", ... in order."""
    found = {}
    for layer, (kernel, bias) in arrays.items():
        found[f"{layer}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        found[f"{layer}.bias"] = bias
    return found


def put_own(path, arrays):
    own_hdf5.write(path, arrays.items(), "vgg16", store.Preprocessing("RGB", MEAN_RGB), licence="CC BY 4.0")


def put_pth(path, arrays, form):
    tensors, data = {}, {}
    for key, (name, array) in enumerate(flat(arrays).items()):
        steps = tuple(step // 4 for step in array.strides)
        tensors[name] = tensor(key=str(key), total=array.size, shape=array.shape, stride=steps)
        data[str(key)] = array.size, array.tobytes()
    write_pth(path, form, dictionary(**tensors), data)


def put_safetensors(path, arrays):
    header, at = {}, 0
    for name, array in flat(arrays).items():
        offsets = [at, at + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        at += array.nbytes
    text = json.dumps(header).encode()
    data = b"".join(array.tobytes() for array in flat(arrays).values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def put_npz(path, arrays, save):
    with path.open("wb") as file:  # by its name NumPy would add an ending
        save(file, **flat(arrays))


def caffe_blob(array, old):
    if old:
        sides = (1,) * (4 - array.ndim) + array.shape
        shape = b"".join(tag(number, 0) + varint(side) for number, side in enumerate(sides, 1))
    else:
        shape = sized(7, sized(1, b"".join(map(varint, array.shape))))
    return shape + sized(5, array.tobytes())


def caffe_parts(arrays, old):
    """Return the head of a .caffemodel, and its layers: each reads what the one before it gives."""
    name, kind, bottom, top, blobs = (4, 5, 2, 3, 6) if old else (1, 2, 3, 4, 7)
    convolution = tag(kind, 0) + varint(4) if old else sized(kind, b"Convolution")
    parts, last = [sized(1, b"VGG") + sized(3, b"data")], b"data"
    for layer, (kernel, bias) in arrays.items():
        here = layer.encode()
        content = sized(bottom, last) + sized(top, here) + sized(name, here) + convolution
        if not old:  # protobuf writes its fields in the order of their numbers
            content = sized(name, here) + convolution + sized(bottom, last) + sized(top, here)
        for array in (np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), bias):
            content += sized(blobs, caffe_blob(array, old))
        parts.append(sized(2 if old else 100, content))
        last = here
    return parts


def put_caffe(path, arrays, old):
    path.write_bytes(b"".join(caffe_parts(arrays, old)))


def cell(items):
    row = np.empty((1, len(items)), object)
    row[0, :] = items
    return row


def put_mat(path, arrays, packed):
    layers = [
        {"type": "conv", "name": name, "weights": cell([kernel, bias.reshape(1, -1)])}
        for name, (kernel, bias) in arrays.items()
    ]
    colour = np.asarray(MEAN_RGB, "f4").reshape(1, 1, 3)
    meta = {"normalization": {"averageImage": colour}}
    with path.open("wb") as file:
        savemat(file, {"layers": cell(layers), "meta": meta}, do_compression=packed)


def onnx_parts(arrays):
    """Return what stands before the graph, the graph, and what stands behind it: versions of the standard."""
    nodes, initializers, last = b"", b"", b"data"
    for layer in arrays:
        inputs = [last, f"{layer}.weight".encode(), f"{layer}.bias".encode()]
        last = f"{layer}_out".encode()
        node = b"".join(sized(1, name) for name in inputs) + sized(2, last)
        nodes += sized(1, node + sized(3, layer.encode()) + sized(4, b"Conv"))
    for name, array in flat(arrays).items():
        dims = b"".join(tag(1, 0) + varint(side) for side in array.shape)
        float32 = tag(2, 0) + varint(1)
        initializers += sized(5, dims + float32 + sized(8, name.encode()) + sized(9, array.tobytes()))
    graph = nodes + sized(2, b"vgg") + initializers + sized(11, sized(1, b"data")) + sized(12, sized(1, last))
    return tag(1, 0) + varint(8) + sized(2, b"by hand"), sized(7, graph), sized(8, tag(2, 0) + varint(17))


def put_onnx(path, arrays):
    path.write_bytes(b"".join(onnx_parts(arrays)))


PUT = {
    "own": put_own,
    "keras": write_keras,
    "pth zip": lambda path, arrays: put_pth(path, arrays, "zip"),
    "pth legacy": lambda path, arrays: put_pth(path, arrays, "legacy"),
    "safetensors": put_safetensors,
    "npz": lambda path, arrays: put_npz(path, arrays, np.savez),
    "npz packed": lambda path, arrays: put_npz(path, arrays, np.savez_compressed),
    "caffe": lambda path, arrays: put_caffe(path, arrays, old=False),
    "caffe old": lambda path, arrays: put_caffe(path, arrays, old=True),
    "mat": lambda path, arrays: put_mat(path, arrays, packed=False),
    "mat packed": lambda path, arrays: put_mat(path, arrays, packed=True),
    "onnx": put_onnx,
}
SAID = {
    "own": "nst_manual weights 1",
    "keras": "Keras HDF5",
    "pth zip": "PyTorch (zip)",
    "pth legacy": "PyTorch (legacy)",
    "safetensors": "safetensors",
    "npz": "NumPy .npz",
    "npz packed": "NumPy .npz",
    "caffe": "Caffe",
    "caffe old": "Caffe",
    "mat": "MatConvNet",
    "mat packed": "MatConvNet",
    "onnx": "ONNX",
}
every_format = pytest.mark.parametrize("kind", PUT)


@pytest.fixture
def quick(monkeypatch):
    """Let the search for the network, most of the time that a small file takes, know only two."""
    monkeypatch.setattr(layouts, "NETWORKS", {name: layouts.NETWORKS[name] for name in ("vgg16", "vgg19")})


def make(path, kind, arrays):
    PUT[kind](path, arrays)
    return path


def refused(path, match=".", network="vgg16", shapes=SMALL):
    """Both, and on one line that names the file."""
    calls = [lambda: store.load_weights(path, network, shapes), lambda: store.check_weights(path)]
    for call in calls if match == "." else calls[:1]:
        with pytest.raises(WeightsError, match=match) as caught:
            call()
        text = str(caught.value)
        assert caught.value.exit_code == 4 and str(path) in text and len(text.splitlines()) == 1
        assert len(text) < 1000 + len(str(path))


def equal(found, expected):
    return found.keys() == expected.keys() and all(
        np.array_equal(x, y)
        for name in expected
        for x, y in zip(found[name], expected[name], strict=True)
    )  # fmt: skip


# -- which format --------------------------------------------------------------------------------------------

READERS = {
    ".safetensors": "safetensors_file",
    ".npz": "npz",
    ".mat": "matconvnet",
    ".caffemodel": "caffemodel",
    ".onnx": "onnx_file",
    ".pth": "pth",
}
GOLDEN = sorted(path for path in FILES.iterdir() if path.suffix in READERS)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_every_golden_file_is_opened_by_its_reader_under_any_name(tmp_path, path):
    with formats.open_archive(path) as archive:
        expected = archive.format, list(archive.tensors)
    assert expected[1]
    for name in ("x.h5", "x.bin", "x", "x.npz", "x.pth", "x.caffemodel", "x.html"):
        (tmp_path / name).write_bytes(path.read_bytes())
        assert formats.reader(tmp_path / name).__name__.rpartition(".")[2] == READERS[path.suffix]
        with formats.open_archive(tmp_path / name) as archive:
            assert (archive.format, list(archive.tensors)) == expected


@every_format
@pytest.mark.parametrize("name", ["x.h5", "x"])
def test_every_format_is_loaded_under_any_name(tmp_path, kind, name):
    arrays = random_arrays(SMALL)
    path = make(tmp_path / name, kind, arrays)
    weights = store.load_weights(path, "vgg16", SMALL)
    assert equal(weights.arrays, arrays)
    assert weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    report = store.check_weights(path)
    assert report["format"] == SAID[kind] and report["layers"].keys() == SMALL.keys()
    assert report["network"] is None and report["known"] is None and report["finite"]
    if kind == "own":  # it has sums of its own
        assert weights.warnings == () and report["warnings"] == []
    else:
        assert "checksum unknown" in weights.warnings[0] and "checksum unknown" in report["warnings"][0]
    said = kind in ("own", "mat", "mat packed")
    assert weights.preprocessing == (store.Preprocessing("RGB", MEAN_RGB) if said else store.CAFFE_BGR)


def picture(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), "u1")).save(path)
    return path.read_bytes()


def test_what_is_no_weight_file_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    contents = [
        b"",
        b"\n",
        b"<!DOCTYPE html><html><body>404 not found</body></html>",
        b"\xef\xbb\xbf\r\n <HTML lang=en>" + b"<p>no such file</p>" * 1000,
        b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
        b'{"message": "Not Found", "status": "404"}',
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 80142336\n",
        b"conv1_1 0.1 0.2 0.3\n" * 500,
        "Gewichte für VGG-19\n".encode("utf-16"),
        bytes(100_000),
        b"\xff" * 5000,
        *(picture(tmp_path / f"x.{ending}") for ending in ("png", "jpg", "gif", "bmp", "tiff", "webp")),
        *(rng.bytes(int(size)) for size in rng.integers(1, 6000, 80)),
    ]
    for content in contents:
        for name in ("x.h5", "x.pth", "x"):
            (tmp_path / name).write_bytes(content)
            refused(tmp_path / name)


@every_format
def test_a_head_with_something_else_behind_it_is_refused(tmp_path, quick, kind):
    """The first bytes choose the reader; what it then finds must be an error of the file's."""
    data = make(tmp_path / "x", kind, random_arrays(SMALL)).read_bytes()
    rng = np.random.default_rng(1)
    for size in (*range(1, 20), 24, 32, 64, 100, 128, 136, 200, 500):
        for rest in (b"", bytes(3000), rng.bytes(3000)):
            (tmp_path / "x").write_bytes(data[:size] + rest)
            refused(tmp_path / "x")


def test_what_is_no_file_is_refused(tmp_path):
    refused(tmp_path / "none.h5")
    (tmp_path / "folder.h5").mkdir()
    refused(tmp_path / "folder.h5")
    (tmp_path / "link.h5").symlink_to(tmp_path / "none.h5")
    refused(tmp_path / "link.h5")
    (tmp_path / "loop.h5").symlink_to(tmp_path / "loop.h5")
    refused(tmp_path / "loop.h5")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo.h5")  # nobody writes to it: opening it would wait for ever
        refused(tmp_path / "fifo.h5")


# -- damage --------------------------------------------------------------------------------------------------


def whole_beginnings(kind, arrays, data):
    """Return size -> how many layers a file has that was cut there and is a whole, shorter one all the same.

    A .caffemodel is a list of layers without an end: cut between two it has fewer, and what misses one says
    so. An .onnx lacks only the versions of its operations when it is cut behind the graph. A .mat is a list
    of variables: the layers are the first, the mean colour is in the second.
    """
    if kind.startswith("caffe"):
        ends = np.cumsum([len(part) for part in caffe_parts(arrays, kind == "caffe old")])
        return {int(size): count for count, size in enumerate(ends[:-1]) if count}
    if kind == "onnx":
        return {sum(map(len, onnx_parts(arrays)[:2])): len(arrays)}
    if kind.startswith("mat"):
        return {128 + 8 + struct.unpack_from("<II", data, 128)[1]: len(arrays)}
    return {}


@every_format
def test_a_file_cut_anywhere_is_refused(tmp_path, quick, kind):
    arrays = random_arrays(SMALL)
    data = make(tmp_path / "x", kind, arrays).read_bytes()
    shorter = whole_beginnings(kind, arrays, data)
    sizes = {*range(1, 30), *range(30, len(data), len(data) // 60), *(len(data) - n for n in range(1, 10))}
    assert len(sizes) > 90 and all(0 < size < len(data) for size in shorter)
    for size in sorted(sizes | shorter.keys()):
        (tmp_path / "x").write_bytes(data[:size])
        if size not in shorter:
            refused(tmp_path / "x")
            continue
        # All layers are there or the first that is not is named; what is left is told as it is.
        if shorter[size] == len(arrays):
            weights = store.load_weights(tmp_path / "x", "vgg16", SMALL)
            assert equal(weights.arrays, arrays) and "guessed" in weights.warnings[0]
        else:
            refused(tmp_path / "x", f"has no {list(SMALL)[shorter[size]]}")
        report = store.check_weights(tmp_path / "x")
        assert len(report["layers"]) == shorter[size] and report["warnings"]


def flipped(data, count, seed=5):
    """Yield copies of a file with one byte changed, a third of them in its first and last 400 bytes."""
    rng = np.random.default_rng(seed)
    edges = [*range(min(400, len(data))), *range(max(0, len(data) - 400), len(data))]
    for i in range(count):
        copy = bytearray(data)
        copy[rng.choice(edges) if i % 3 == 0 else rng.integers(len(data))] ^= rng.integers(1, 256)
        yield bytes(copy)


@every_format
def test_a_flipped_byte_is_an_error_or_leaves_whole_layers_and_a_warning(tmp_path, quick, kind):
    arrays = random_arrays(SMALL)
    data = make(tmp_path / "x", kind, arrays).read_bytes()
    whole = store.load_weights(tmp_path / "x", "vgg16", SMALL)
    errors = 0
    for copy in flipped(data, 160):
        (tmp_path / "x").write_bytes(copy)
        try:
            weights = store.load_weights(tmp_path / "x", "vgg16", SMALL)
        except WeightsError as error:
            assert "\n" not in str(error) and len(str(error)) < 1200
            errors += 1
        else:
            assert {name: (w.shape, b.shape) for name, (w, b) in weights.arrays.items()} == SMALL
            same = equal(weights.arrays, arrays) and weights.preprocessing == whole.preprocessing
            if kind == "own":  # nothing that is used may change unnoticed
                assert same
            else:
                assert weights.warnings
        try:
            report = store.check_weights(tmp_path / "x")
        except WeightsError as error:
            assert "\n" not in str(error)
        else:
            assert report["warnings"] or (kind == "own" and report["layers"].keys() == SMALL.keys())
    # four in a hundred bytes are no values where nothing but names, shapes and lengths can be wrong
    assert errors > 3


@pytest.mark.parametrize("where", ["format", "network", "order", "mean", "scale", "std", "source", "licence"])
def test_every_attribute_of_our_own_files_is_held_against_their_sum(tmp_path, where):
    import h5py

    path = make(tmp_path / "x.h5", "own", random_arrays(SMALL))
    with h5py.File(path, "a") as file:
        old = file.attrs[where]
        file.attrs[where] = (
            {"order": "BGR"}.get(where, old + "?") if isinstance(old, str) else np.asarray(old) + 1
        )
    if where == "format":  # then it is a Keras file, whose attributes nobody vouches for
        assert "checksum unknown" in store.load_weights(path, "vgg16", SMALL).warnings[0]
    else:
        refused(path, "checksum mismatch in its attributes")
        refused(path)


@pytest.mark.parametrize("name", ["conv1_1/weight", "conv1_2/bias", "conv2_1/weight"])
def test_every_value_of_our_own_files_is_held_against_its_sum(tmp_path, name):
    """Written by HDF5 itself: no sum of the packing tells."""
    import h5py

    path = make(tmp_path / "x.h5", "own", random_arrays(SMALL))
    with h5py.File(path, "a") as file:
        values = file[name][()]
        values.flat[7 % values.size] = np.nextafter(values.flat[7 % values.size], np.float32(9))
        file[name][...] = values
    refused(path, f"checksum mismatch in {name.replace('/', '.')}")
    refused(path)


def test_a_layer_more_or_less_in_our_own_file_is_an_error(tmp_path):
    import h5py

    path = make(tmp_path / "x.h5", "own", random_arrays(SMALL))
    with h5py.File(path, "a") as file:
        file["conv5_1/weight"], file["conv5_1/bias"] = np.zeros((3, 3, 2, 2), "f4"), np.zeros(2, "f4")
    refused(path, "not those that it was written with")
    path = make(tmp_path / "y.h5", "own", random_arrays(SMALL))
    with h5py.File(path, "a") as file:
        del file["conv2_1"]
    refused(path, "not those that it was written with", shapes={"conv1_1": SMALL["conv1_1"]})


# -- files whose sums are known ------------------------------------------------------------------------------


@pytest.fixture
def publish(monkeypatch):
    """Return a function that makes a file the only published one, by its SHA-256 or the first digits."""

    def add(path, digits=64):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()[:digits]
        url = f"https://example.org/{path.name}"
        entry = replace(KNOWN["vgg16"], name="it", url=url, checksum=f"sha256:{sha256}")
        monkeypatch.setattr(checksum, "KNOWN", {"it": entry})

    return add


@pytest.mark.parametrize("digits", [8, 64])
@every_format
def test_a_flipped_byte_of_a_known_file_is_never_silent(tmp_path, quick, cache, publish, kind, digits):
    arrays = random_arrays(SMALL)
    cache.mkdir(parents=True)
    here, cached = tmp_path / "known.bin", cache / "known.bin"
    data = make(here, kind, arrays).read_bytes()
    cached.write_bytes(data)
    publish(here, digits)
    for path in (here, cached):
        weights = store.load_weights(path, "vgg16", SMALL)
        assert weights.warnings == () and equal(weights.arrays, arrays)
        assert store.check_weights(path)["known"] == "it"
    loaded = 0
    for copy in flipped(data, 30, seed=6):
        cached.write_bytes(copy)
        refused(cached, "checksum mismatch, found sha256:.*expected sha256:.*weights get it")
        here.write_bytes(copy)
        try:
            weights = store.load_weights(here, "vgg16", SMALL)
        except WeightsError:
            continue
        loaded += 1
        assert any("but another checksum" in warning for warning in weights.warnings)
    cached.write_bytes(data[:-1])
    refused(cached, "checksum mismatch")
    refused(cached)
    # in formats without sums of their own, most flipped bytes change a value and nothing else
    assert loaded > 5 or kind in ("own", "keras", "pth zip", "npz", "npz packed", "mat packed")


# -- another network's, or half of one -----------------------------------------------------------------------


def narrow(blocks):
    """The layers of a VGG network, all of them with four channels."""
    return {name: ((3, 3, 3 if name == "conv1_1" else 4, 4), (4,)) for name in vgg_shapes(blocks)}


@every_format
def test_vgg16_for_vgg19_and_the_reverse_are_told_apart(tmp_path, kind):
    pair = ("vgg16", VGG16), ("vgg19", VGG19)
    for (network, blocks), (other, others) in (pair, pair[::-1]):
        path = make(tmp_path / network, kind, random_arrays(narrow(blocks)))
        refused(path, f"its layers are those of {network}, expected {other}", other, narrow(others))
        if network == "vgg16":
            refused(path, "has no conv3_4, conv4_4, conv5_4, which vgg19 needs", other, narrow(others))
        weights = store.load_weights(path, network, narrow(blocks))
        assert list(weights.arrays) == list(narrow(blocks))
        assert store.check_weights(path)["network"] == network


@every_format
@pytest.mark.parametrize("layer", SMALL)
def test_a_missing_layer_is_named(tmp_path, quick, kind, layer):
    arrays = random_arrays(SMALL)
    del arrays[layer]
    path = make(tmp_path / "x", kind, arrays)
    refused(path, f"has no {layer}, which vgg16 needs")
    assert layer not in store.check_weights(path)["layers"]


@every_format
def test_a_wrong_shape_is_named_with_the_one_expected(tmp_path, quick, kind):
    arrays = random_arrays(SMALL | {"conv1_2": ((3, 3, 4, 7), (7,))})
    refused(
        make(tmp_path / "x", kind, arrays),
        r"conv1_2 has a weight of shape \(3, 3, 4, 7\), expected \(3, 3, 4, 5\)",
    )


@every_format
def test_a_wrong_bias_is_named_with_the_length_expected(tmp_path, quick, kind):
    arrays = random_arrays(SMALL)
    arrays["conv1_2"] = arrays["conv1_2"][0], np.ones(6, "f4")
    path = make(tmp_path / "x", kind, arrays)
    if kind in ("onnx", "mat", "mat packed"):  # where the two belong together in the file itself
        refused(path, r"conv1_2.* bias of.*\(?6")
        refused(path)
    else:
        refused(path, r"conv1_2 has a bias of shape \(6,\), expected \(5,\)")


@every_format
@pytest.mark.parametrize("part, size", [("weight", 180), ("bias", 5)])
@pytest.mark.parametrize("value, word", [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_value_that_is_not_finite_is_named(tmp_path, quick, kind, part, size, value, word):
    arrays = random_arrays(SMALL)
    arrays["conv1_2"][part == "bias"].flat[3] = value
    path = make(tmp_path / "x", kind, arrays)
    match = f"conv1_2 has 1 of {size} values in its {part} that are not finite, the first is {word} at"
    refused(path, match)
    report = store.check_weights(path)
    assert not report["finite"] and report["not_finite"] == ["conv1_2"]
    # the other layers are sound, and only what is wanted is read
    others = {name: shapes for name, shapes in SMALL.items() if name != "conv1_2"}
    assert list(store.load_weights(path, "vgg16", others).arrays) == list(others)
