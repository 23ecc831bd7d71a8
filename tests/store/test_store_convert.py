"""`convert_weights`: every format to our own HDF5, whole or not at all."""

import os

import h5py
import numpy as np
import pytest
from store_files import SMALL, random_arrays, write_keras
from test_store_formats import MEAN_RGB, every_format, flipped, make

from nst_manual import nn, store
from nst_manual.errors import OutputError, UsageError, WeightsError
from nst_manual.nets import NETWORKS, Network, rows
from nst_manual.store import layouts

CONVOLUTIONS = (
    rows.Conv("conv1_1", 4),
    rows.ReLU("relu1_1"),
    rows.Conv("conv1_2", 5),
    rows.ReLU("relu1_2"),
    rows.MaxPool("pool1"),
    rows.Conv("conv2_1", 6),
)
CLASSIFIER = (rows.Flatten("flatten"), rows.Linear("fc6", 7), rows.ReLU("relu6"), rows.Linear("fc7", 3))
TINY = Network("tiny", CONVOLUTIONS, CLASSIFIER, 8)
TOP = SMALL | {"fc6": ((4 * 4 * 6, 7), (7,)), "fc7": ((7, 3), (3,))}


WIDE = {"conv1_1": ((3, 3, 3, 64), (64,)), "conv1_2": ((3, 3, 64, 64), (64,))}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Let the package know a network whose convolutions are SMALL: files of any other take seconds."""
    monkeypatch.setitem(NETWORKS, "tiny", TINY)


def hold_equal(path, arrays, dtype="float32", network="tiny"):
    """Check that a file of ours has these arrays; return what is loaded."""
    shapes = {name: tuple(array.shape for array in pair) for name, pair in arrays.items()}
    weights = store.load_weights(path, network, shapes, dtype=dtype)
    for name, pair in arrays.items():
        for ours, theirs in zip(weights.arrays[name], pair, strict=True):
            assert ours.dtype == np.dtype(dtype)
            np.testing.assert_array_equal(ours, theirs.astype(dtype))
    assert weights.warnings == ()  # its own sums vouch for it
    return weights


def refused(error, match, *arguments, **options):
    with pytest.raises(error, match=match) as caught:
        store.convert_weights(*arguments, **options)
    assert "\n" not in str(caught.value)


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


# -- what is written -----------------------------------------------------------------------------------------


@every_format
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_every_format_becomes_our_own_with_the_same_values(tmp_path, kind, dtype):
    arrays = random_arrays(SMALL)
    path = make(tmp_path / "x", kind, arrays)
    before = path.read_bytes()
    report = store.convert_weights(path, tmp_path / "y.h5", dtype=dtype)
    rounded = {name: [array.astype(dtype) for array in pair] for name, pair in arrays.items()}
    weights = hold_equal(tmp_path / "y.h5", rounded)
    original = store.load_weights(path, "tiny", SMALL)
    assert weights.preprocessing == original.preprocessing == report["preprocessing"]
    said = store.Preprocessing("RGB", MEAN_RGB)
    assert weights.preprocessing == (said if kind in ("own", "mat", "mat packed") else store.CAFFE_BGR)
    assert report["path"] == str(tmp_path / "y.h5") and report["size"] == (tmp_path / "y.h5").stat().st_size
    assert (report["network"], report["top"], report["layers"]) == ("tiny", False, 3)
    assert weights.preprocessing.words in report["input"]
    with h5py.File(tmp_path / "y.h5") as file:
        assert file["conv1_2/weight"].dtype == file["conv1_2/bias"].dtype == np.dtype(dtype)
        assert file.attrs["network"] == "tiny" and original.sha256 in file.attrs["source"]
    assert path.read_bytes() == before and listed(tmp_path) == ["x", "y.h5"]


@every_format
def test_what_is_written_depends_on_the_content_alone(tmp_path, kind):
    path = make(tmp_path / "x", kind, random_arrays(SMALL))
    store.convert_weights(path, tmp_path / "one.h5")
    store.convert_weights(path, tmp_path / "two.hdf5")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.hdf5").read_bytes()


def test_converting_what_was_converted_changes_no_value(tmp_path):
    arrays = random_arrays(SMALL)
    make(tmp_path / "x", "mat", arrays)
    store.convert_weights(tmp_path / "x", tmp_path / "y.h5", dtype="float16")
    store.convert_weights(tmp_path / "y.h5", tmp_path / "z.h5", dtype="float64")
    halves = {name: [array.astype("f2") for array in pair] for name, pair in arrays.items()}
    assert hold_equal(tmp_path / "z.h5", halves, "float64").preprocessing.mean == MEAN_RGB


def test_half_precision_takes_about_half_the_room(tmp_path, monkeypatch):
    table = (rows.Conv("conv1_1", 64), rows.ReLU("relu1_1"), rows.Conv("conv1_2", 64))
    monkeypatch.setitem(NETWORKS, "wide", Network("wide", table, (), 8))
    path = make(tmp_path / "x", "npz", random_arrays(WIDE))
    sizes = {
        dtype: store.convert_weights(path, tmp_path / f"{dtype}.h5", "wide", dtype)["size"]
        for dtype in ("float16", "float32", "float64")
    }
    assert 0.4 < sizes["float16"] / sizes["float32"] < 0.6 and sizes["float32"] < sizes["float64"]


def test_a_value_that_half_precision_cannot_hold_is_refused(tmp_path):
    arrays = random_arrays(SMALL)
    arrays["conv2_1"][1][2] = 1e5
    path = make(tmp_path / "x", "npz", arrays)
    refused(WeightsError, "conv2_1 has 1 of 6 values in its bias", path, tmp_path / "y.h5", dtype="float16")
    assert listed(tmp_path) == ["x"]
    store.convert_weights(path, tmp_path / "y.h5")


def test_what_the_file_expects_can_be_told(tmp_path):
    path = make(tmp_path / "x", "mat", random_arrays(SMALL))
    report = store.convert_weights(path, tmp_path / "y.h5", preprocessing="torchvision")
    weights = store.load_weights(tmp_path / "y.h5", "tiny", SMALL)
    assert weights.preprocessing == report["preprocessing"]
    assert weights.preprocessing.order == "RGB" and weights.preprocessing.std == (0.229, 0.224, 0.225)
    mine = store.Preprocessing("BGR", (1.5, 2.5, 3.5), 0.25, (4.0, 5.0, 6.0))
    store.convert_weights(path, tmp_path / "z.h5", preprocessing=mine)
    assert store.load_weights(tmp_path / "z.h5", "tiny", SMALL).preprocessing == mine
    refused(UsageError, "preprocessing", path, tmp_path / "u.h5", preprocessing="torchvison")
    refused(UsageError, "expected float16", path, tmp_path / "u.h5", dtype="int8")
    assert listed(tmp_path) == ["x", "y.h5", "z.h5"]


# -- which network, and how much of it -----------------------------------------------------------------------


def test_the_network_is_found_or_told(tmp_path, monkeypatch):
    path = make(tmp_path / "x", "npz", random_arrays(SMALL))
    assert store.convert_weights(path, tmp_path / "found.h5")["network"] == "tiny"
    assert store.convert_weights(path, tmp_path / "told.h5", "tiny")["network"] == "tiny"
    monkeypatch.setitem(NETWORKS, "twin", Network("twin", CONVOLUTIONS, (), 8))
    refused(WeightsError, "may be of tiny or twin.*--network", path, tmp_path / "y.h5")
    assert store.convert_weights(path, tmp_path / "twin.h5", "twin")["network"] == "twin"
    with h5py.File(tmp_path / "twin.h5") as file:
        assert file.attrs["network"] == "twin"
    refused(WeightsError, "vgg16", path, tmp_path / "y.h5", "vgg16")
    refused(UsageError, "vgg61", path, tmp_path / "y.h5", "vgg61")
    assert "y.h5" not in listed(tmp_path)


def test_a_file_without_a_whole_network_is_refused(tmp_path):
    arrays = random_arrays(SMALL)
    del arrays["conv1_2"]
    path = make(tmp_path / "x", "safetensors", arrays)
    refused(WeightsError, "convolutions of no network that is known", path, tmp_path / "y.h5")
    refused(WeightsError, "has no conv1_2, which tiny needs", path, tmp_path / "y.h5", "tiny")
    assert listed(tmp_path) == ["x"]


def channels_first(arrays):
    """Return a state dict: the columns of fc6 stand for (C, H, W)."""
    found = {}
    for name, (weight, bias) in arrays.items():
        if name == "fc6":
            weight = weight.reshape(4, 4, 6, 7).transpose(2, 0, 1, 3).reshape(96, 7)
        found[f"{name}.weight"] = weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T
        found[f"{name}.bias"] = bias
    return found


def put_with_top(path, arrays, kind):
    if kind == "keras":
        return write_keras(path.with_suffix(".h5"), arrays)
    np.savez(path.with_suffix(".npz"), **channels_first(arrays))
    return path.with_suffix(".npz")


@pytest.mark.parametrize("kind", ["keras", "npz"])
def test_a_classifier_is_kept_where_all_of_it_is_there(tmp_path, kind):
    arrays = random_arrays(TOP)
    path = put_with_top(tmp_path / "x", arrays, kind)
    report = store.convert_weights(path, tmp_path / "y.h5")
    assert report["top"] and report["layers"] == 5
    hold_equal(tmp_path / "y.h5", arrays)
    again = store.convert_weights(tmp_path / "y.h5", tmp_path / "z.h5")
    assert again["top"] and again["layers"] == 5
    hold_equal(tmp_path / "z.h5", arrays)
    # of half a classifier nothing is kept, and what reads it is told
    del arrays["fc7"]
    path = put_with_top(tmp_path / "half", arrays, kind)
    report = store.convert_weights(path, tmp_path / "trunk.h5")
    assert not report["top"] and report["layers"] == 3
    hold_equal(tmp_path / "trunk.h5", {name: arrays[name] for name in SMALL})
    with pytest.raises(WeightsError, match="has no fc6, fc7, which tiny needs"):
        store.load_weights(tmp_path / "trunk.h5", "tiny", TOP)


def test_a_network_computes_the_same_from_the_converted_file(tmp_path):
    path = put_with_top(tmp_path / "x", random_arrays(TOP), "npz")
    store.convert_weights(path, tmp_path / "y.h5")
    x = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    one, other = (nn.load_network("tiny", file, top=True) for file in (path, tmp_path / "y.h5"))
    np.testing.assert_array_equal(one.forward(x), other.forward(x))
    assert one["fc7"].output.shape == (2, 3) and one["fc7"].output.any()


def test_without_a_name_it_becomes_the_one_that_is_taken(tmp_path, cache):
    arrays = random_arrays(SMALL)
    path = make(tmp_path / "x", "caffe", arrays)
    assert store.find_weights("tiny") is None
    report = store.convert_weights(path)
    assert report["path"] == str(cache / "tiny.h5") == str(store.find_weights("tiny"))
    assert listed(cache) == ["tiny.h5"]
    weights = store.load_weights(None, "tiny", SMALL)
    assert weights.source == report["path"] and weights.warnings == ()
    refused(OutputError, "is there already", path)
    store.convert_weights(path, replace=True)


# -- where it goes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["y", "y.npz", "y.h5.bak", "h5", ".h5", "y.pth", "y."])
def test_another_ending_is_refused(tmp_path, name):
    path = make(tmp_path / "x", "npz", random_arrays(SMALL))
    refused(OutputError, "ends in .h5 or .hdf5", path, tmp_path / name)
    assert listed(tmp_path) == ["x"]


@pytest.mark.parametrize("name", ["y.h5", "y.hdf5", "y.H5", "y.HDF5", "a.b.h5", "Gewichte für VGG.h5"])
def test_both_endings_are_taken(tmp_path, name):
    arrays = random_arrays(SMALL)
    path = make(tmp_path / "x", "npz", arrays)
    assert store.convert_weights(str(path), str(tmp_path / name))["path"] == str(tmp_path / name)
    hold_equal(tmp_path / name, arrays)


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize(
    "way", ["itself", "symlink", "hard link", "relative", "through a folder", "from a link"]
)
def test_the_input_is_never_replaced(tmp_path, monkeypatch, way, replace):
    path = make(tmp_path / "x.h5", "keras", random_arrays(SMALL))
    before, source, to = path.read_bytes(), path, tmp_path / "y.h5"
    if way == "symlink":
        to.symlink_to(path)
    elif way == "hard link":
        os.link(path, to)
    elif way == "from a link":
        to.symlink_to(path)
        source, to = to, path
    elif way == "relative":
        monkeypatch.chdir(tmp_path)
        to = "x.h5"
    elif way == "through a folder":
        (tmp_path / "folder").mkdir()
        to = tmp_path / "folder" / ".." / "x.h5"
    else:
        to = path
    names = listed(tmp_path)
    refused(OutputError, "is the file that is converted", source, to, replace=replace)
    assert path.read_bytes() == before and listed(tmp_path) == names


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    path = make(tmp_path / "x", "npz", random_arrays(SMALL))
    for to in (tmp_path / "none" / "y.h5", tmp_path / "none" / "deeper" / "y.h5", path / "y.h5"):
        with pytest.raises(OutputError) as caught:
            store.convert_weights(path, to)
        assert caught.value.exit_code == 5 and str(to) in str(caught.value)
    (tmp_path / "folder.h5").mkdir()
    refused(OutputError, "is a directory", path, tmp_path / "folder.h5", replace=True)
    assert listed(tmp_path) == ["folder.h5", "x"] and listed(tmp_path / "folder.h5") == []


@pytest.mark.parametrize("name", ["n" * 300 + ".h5", "nul\0.h5"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    path = make(tmp_path / "x", "npz", random_arrays(SMALL))
    with pytest.raises(OutputError):
        store.convert_weights(path, tmp_path / name)
    assert listed(tmp_path) == ["x"]


def test_a_link_to_another_file_is_replaced_and_not_followed(tmp_path):
    arrays = random_arrays(SMALL)
    path = make(tmp_path / "x", "npz", arrays)
    (tmp_path / "other").write_bytes(b"precious")
    (tmp_path / "y.h5").symlink_to(tmp_path / "other")
    refused(OutputError, "is there already", path, tmp_path / "y.h5")
    store.convert_weights(path, tmp_path / "y.h5", replace=True)
    assert (tmp_path / "other").read_bytes() == b"precious"
    hold_equal(tmp_path / "y.h5", arrays)


# -- what is there already stays whole -----------------------------------------------------------------------


def test_what_is_there_is_replaced_only_when_told(tmp_path):
    arrays = random_arrays(SMALL)
    path = make(tmp_path / "x", "pth zip", arrays)
    (tmp_path / "y.h5").write_bytes(b"precious")
    refused(OutputError, "is there already", path, tmp_path / "y.h5")
    assert (tmp_path / "y.h5").read_bytes() == b"precious"
    store.convert_weights(path, tmp_path / "y.h5", replace=True)
    hold_equal(tmp_path / "y.h5", arrays)
    assert listed(tmp_path) == ["x", "y.h5"]


@every_format
def test_a_damaged_input_leaves_what_is_there(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(layouts, "NETWORKS", {"tiny": TINY})  # all others take most of the time
    data = make(tmp_path / "x", kind, random_arrays(SMALL)).read_bytes()
    old = tmp_path / "y.h5"
    store.convert_weights(tmp_path / "x", old)
    before = old.read_bytes()
    copies = [*(data[: len(data) * part // 12] for part in range(12)), *flipped(data, 24)]
    failed = 0
    for copy in copies:
        (tmp_path / "x").write_bytes(copy)
        try:
            store.convert_weights(tmp_path / "x", old, "tiny", replace=True)
        except WeightsError as error:
            failed += 1
            assert str(tmp_path / "x") in str(error)
            assert old.read_bytes() == before
        else:  # a value changed, which nobody can see
            before = old.read_bytes()
            store.load_weights(old, "tiny", SMALL)
        assert listed(tmp_path) == ["x", "y.h5"]
    assert failed >= 12


@pytest.mark.parametrize("replace", [False, True])
def test_a_fault_in_the_last_layer_leaves_nothing_half_written(tmp_path, replace):
    """The layers are written one by one; the last is read when all others are in the new file."""
    arrays = random_arrays(SMALL)
    arrays["conv2_1"][1][3] = np.nan
    path = make(tmp_path / "x", "npz packed", arrays)
    if replace:
        (tmp_path / "y.h5").write_bytes(b"precious")
    refused(WeightsError, "conv2_1 has 1 of 6 values", path, tmp_path / "y.h5", replace=replace)
    assert listed(tmp_path) == (["x", "y.h5"] if replace else ["x"])
    assert not replace or (tmp_path / "y.h5").read_bytes() == b"precious"


def test_a_full_disk_leaves_what_is_there(tmp_path, monkeypatch):
    path = make(tmp_path / "x", "npz", random_arrays(SMALL))
    (tmp_path / "y.h5").write_bytes(b"precious")

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    refused(OutputError, "No space left", path, tmp_path / "y.h5", replace=True)
    assert (tmp_path / "y.h5").read_bytes() == b"precious" and listed(tmp_path) == ["x", "y.h5"]
