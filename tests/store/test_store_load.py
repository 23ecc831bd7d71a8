"""load_weights: random, bundled, by path; default network; rows of the list; nothing heavy at import."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from store_files import SMALL, VGG16, VGG19, make_identity_vgg19, random_arrays, vgg_shapes, write_keras

from nst_manual import store
from nst_manual.errors import UsageError, WeightsError
from nst_manual.nets import get_network
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.nets.preprocessing import CAFFE_ALEXNET
from nst_manual.store import find
from nst_manual.store.known import KNOWN


def test_random_has_he_variance_and_is_reproducible():
    shapes = {
        "conv3_1": ((3, 3, 128, 256), (256,)),
        "conv3_2": ((1, 1, 256, 512), (512,)),
        "fc6": ((900, 700), (700,)),
    }
    weights = store.load_weights("random", "vgg16", shapes, seed=3)
    for name, (kernel, bias) in weights.arrays.items():
        assert kernel.shape == shapes[name][0] and kernel.dtype == bias.dtype == np.float32
        fan_in = np.prod(kernel.shape[:-1])
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / fan_in), rtol=0.01)
        assert abs(kernel.mean()) < 0.01 * np.sqrt(2 / fan_in) * 5 and not bias.any()
    again = store.load_weights("random", "vgg16", {"conv3_2": shapes["conv3_2"]}, seed=3, dtype="float64")
    np.testing.assert_array_equal(again.arrays["conv3_2"][0], weights.arrays["conv3_2"][0])
    assert again.arrays["conv3_2"][0].dtype == np.float64
    other = store.load_weights("random", "vgg16", {"conv3_2": shapes["conv3_2"]}, seed=4)
    assert not np.array_equal(other.arrays["conv3_2"][0], weights.arrays["conv3_2"][0])
    assert (weights.source, weights.sha256) == ("random (He, seed 3)", None)
    assert weights.preprocessing == store.CAFFE_BGR


def test_random_names_with_equal_shapes_differ():
    shape = ((3, 3, 8, 8), (8,))
    arrays = store.load_weights("random", "vgg16", {"conv1_1": shape, "conv1_2": shape}).arrays
    assert not np.array_equal(arrays["conv1_1"][0], arrays["conv1_2"][0])


def test_bundled_vgg16_is_whole_and_the_default():
    weights = store.load_weights(None, "vgg16", vgg_shapes(VGG16))
    assert weights.warnings == () and weights.preprocessing == store.CAFFE_BGR
    assert weights.sha256 == find.bundled_sums()["vgg16.h5"]
    kernel, bias = weights.arrays["conv1_1"]
    # As Keras publishes them, to float16's eleven bits.
    np.testing.assert_allclose(kernel[0, 0, 0, :2], [0.42947057, 0.11727387], rtol=2**-11)
    np.testing.assert_allclose(bias[:2], [0.73429835, 0.09340367], rtol=2**-11)
    assert kernel.dtype == np.float32 and kernel.flags.c_contiguous and kernel.flags.writeable
    assert store.default_network()[0] == "vgg16" and "weights get vgg19" in store.default_network()[1]


def test_bundled_squeezenet_is_whole_and_says_what_it_expects():
    network = get_network("squeezenet")
    weights = store.load_weights(None, network, parameter_shapes(network))
    assert weights.warnings == ()
    assert weights.preprocessing == CAFFE_ALEXNET
    assert sum(array.size for pair in weights.arrays.values() for array in pair) == 1_235_496
    # as the package that it is from has them, to float16's eleven bits
    kernel, bias = weights.arrays["conv1"]
    np.testing.assert_allclose(kernel[0, 0, :, 0], [0.25723463, 0.550187, 0.3146835], rtol=2**-11)
    np.testing.assert_allclose(bias[:3], [-0.01437416, 0.16094312, -0.01655726], rtol=2**-11)


def test_bundled_copy_elsewhere_is_known_too(tmp_path):
    copy = shutil.copy(find.bundled_folder() / "vgg16.h5", tmp_path / "mine.h5")
    weights = store.load_weights(copy, "vgg16", {"conv1_1": ((3, 3, 3, 64), (64,))})
    assert weights.warnings == () and list(weights.arrays) == ["conv1_1"]
    assert store.check_weights(copy)["known"] == "bundled"


@pytest.mark.parametrize("where", [0.3, 0.6, 0.9])
def test_flipped_byte_in_a_copy_of_the_bundled_file(tmp_path, where):
    data = bytearray((find.bundled_folder() / "vgg16.h5").read_bytes())
    data[int(len(data) * where)] ^= 0x10
    copy = tmp_path / "vgg16.h5"
    copy.write_bytes(data)
    with pytest.raises(WeightsError, match="checksum mismatch|damaged"):
        store.load_weights(copy, "vgg16", vgg_shapes(VGG16))


def test_flipped_byte_in_the_bundled_file(tmp_path, monkeypatch):
    for file in find.bundled_folder().iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    monkeypatch.setattr("nst_manual.store.find.bundled_folder", lambda: tmp_path)
    monkeypatch.setattr("nst_manual.store.checksum.bundled_folder", lambda: tmp_path)
    data = bytearray((tmp_path / "vgg16.h5").read_bytes())
    data[-100] ^= 1
    (tmp_path / "vgg16.h5").write_bytes(data)
    with pytest.raises(WeightsError, match="checksum mismatch, found sha256:.*expected sha256:"):
        store.load_weights(None, "vgg16", {"conv1_1": ((3, 3, 3, 64), (64,))})


@pytest.mark.parametrize("stored", ["<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("wanted", ["float32", "float64"])
def test_types_become_the_one_asked_for(tmp_path, stored, wanted):
    arrays = {name: tuple(a.astype(stored) for a in pair) for name, pair in random_arrays(SMALL).items()}
    weights = store.load_weights(write_keras(tmp_path / "x.h5", arrays), "vgg16", SMALL, dtype=wanted)
    for name, pair in arrays.items():
        for ours, theirs in zip(weights.arrays[name], pair, strict=True):
            assert ours.dtype == np.dtype(wanted)
            np.testing.assert_array_equal(ours, theirs.astype(wanted))


def test_cut_network_reads_no_more(tmp_path):
    arrays = random_arrays(SMALL)
    arrays["conv2_1"][0][...] = np.nan
    path = write_keras(tmp_path / "x.h5", arrays)
    cut = {name: SMALL[name] for name in ("conv1_1", "conv1_2")}
    assert list(store.load_weights(str(path), "vgg16", cut).arrays) == list(cut)


def test_unknown_file_gets_a_warning(tmp_path):
    weights = store.load_weights(write_keras(tmp_path / "x.h5", random_arrays(SMALL)), "vgg16", SMALL)
    assert len(weights.warnings) == 1 and "checksum unknown" in weights.warnings[0]
    assert "BGR" in weights.warnings[0] and weights.source == str(tmp_path / "x.h5")


def test_nothing_there_says_what_to_do():
    shapes = vgg_shapes(VGG19)
    with pytest.raises(WeightsError, match="weights get vgg19`, or `--weights random`") as caught:
        store.load_weights(None, "vgg19", shapes)
    assert caught.value.exit_code == 4
    with pytest.raises(WeightsError, match="classifier.*weights get vgg16-top"):
        store.load_weights(None, "vgg16", vgg_shapes(VGG16) | {"fc6": ((25088, 4096), (4096,))})
    with pytest.raises(WeightsError, match="alexnet"):
        store.load_weights(None, "alexnet", {})


def test_wrong_kinds_of_argument():
    for weights in (3, b"x", True):
        with pytest.raises(UsageError):
            store.load_weights(weights, "vgg16", SMALL)
    with pytest.raises(UsageError, match="seed"):
        store.load_weights("random", "vgg16", SMALL, seed=-1)


def test_cache_comes_first(cache):
    cache.mkdir(parents=True)
    path = write_keras(cache / "vgg16.h5", random_arrays(SMALL))
    assert store.find_weights("vgg16") == path
    write_keras(cache / "vgg19.h5", random_arrays(SMALL))
    assert store.default_network()[0] == "vgg19"
    rows = {row["name"]: row for row in store.list_weights() if row["file"] == "vgg19.h5"}
    assert rows["vgg19"]["status"] == "installed"


def test_cached_file_under_a_published_name_must_be_it(cache):
    cache.mkdir(parents=True)
    name = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    write_keras(cache / name, random_arrays(SMALL))
    with pytest.raises(
        WeightsError, match="checksum mismatch, found md5:.*expected md5:253f8.*weights get vgg19"
    ):
        store.load_weights(None, "vgg19", SMALL)
    # Elsewhere the name is only a name.
    write_keras(cache.parent / name, random_arrays(SMALL))
    warnings = store.load_weights(cache.parent / name, "vgg19", SMALL).warnings
    assert len(warnings) == 2 and "name of a published file" in warnings[1]


def test_list():
    rows = store.list_weights()
    assert [row["status"] for row in rows] == ["bundled"] * 2 + ["known"] * len(KNOWN)
    assert {"name", "network", "file", "status", "path", "size", "url", "checksum", "licence"} == set(rows[0])
    assert rows[0]["size"] > 20e6 and rows[2]["path"] is None and rows[2]["url"].startswith("https://")


def test_check_says_what_a_file_is(tmp_path):
    arrays = random_arrays(SMALL)
    arrays["conv1_2"][1][2] = np.inf
    report = store.check_weights(write_keras(tmp_path / "x.h5", arrays))
    assert report["layers"]["conv1_2"] == {"weight": [3, 3, 4, 5], "bias": [5], "dtype": "float32"}
    assert (report["finite"], report["not_finite"], report["known"]) == (False, ["conv1_2"], None)
    bundled = store.check_weights(find.bundled_folder() / "vgg16.h5")
    assert bundled["network"] == "vgg16" and bundled["finite"] and bundled["warnings"] == []


def test_own_preprocessing_is_taken_and_checked(tmp_path):
    import h5py

    path = write_keras(tmp_path / "x.h5", random_arrays(SMALL))
    with h5py.File(path, "a") as file:
        file.attrs.update(order="RGB", mean=[0.485, 0.456, 0.406], scale=1 / 255, std=[0.229, 0.224, 0.225])
    weights = store.load_weights(path, "vgg16", SMALL)
    assert weights.preprocessing == store.Preprocessing(
        "RGB", (0.485, 0.456, 0.406), 1 / 255, (0.229, 0.224, 0.225)
    )
    assert "as the file says" in weights.warnings[0]
    with h5py.File(path, "a") as file:
        file.attrs["order"] = "GBR"
    with pytest.raises(WeightsError, match="order 'GBR'"):
        store.load_weights(path, "vgg16", SMALL)


def test_identity_vgg19_computes_what_vgg16_does():
    vgg16 = store.load_weights(None, "vgg16", vgg_shapes(VGG16)).arrays
    kernel, bias = make_identity_vgg19(vgg16)["conv3_4"]
    x = np.maximum(np.random.default_rng(0).standard_normal((6, 6, 256)).astype("float32"), 0)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    y = bias + sum(padded[i : i + 6, j : j + 6] @ kernel[i, j] for i in range(3) for j in range(3))
    np.testing.assert_array_equal(np.maximum(y, 0), x)


def test_importing_loads_nothing_heavy():
    heavy = "h5py scipy PIL platformdirs urllib.request http.client"
    code = f"import sys, nst_manual.store; print([m for m in {heavy.split()} if m in sys.modules])"
    root = Path(store.__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout.strip() == "[]"
