"""Files that Keras itself writes: our arrays are those that its models have."""

import os

import numpy as np
import pytest
from store_files import VGG16, VGG19, keras_name, vgg_shapes

from nst_manual import store
from nst_manual.errors import WeightsError

h5py = pytest.importorskip("h5py")

# Keras's own, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def keras():
    if "KERAS_BACKEND" not in os.environ:
        pytest.importorskip("torch", reason="Keras needs a backend, and torch is not installed")
        os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras", reason="Keras is not installed")


def save(model, path, layout):
    """Save a model in one of the three layouts."""
    if layout == "legacy":
        from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

        with h5py.File(path, "w") as file:
            save_weights_to_hdf5_group(file, model)
    elif layout == "model":
        model.save(path)
    else:
        path = path.with_suffix(".weights.h5")
        model.save_weights(path)
    return path


def hold_equal(path, model, network, shapes):
    weights = store.load_weights(path, network, shapes)
    assert list(weights.arrays) == list(shapes)
    for name, pair in weights.arrays.items():
        theirs = model.get_layer(keras_name(name)).get_weights()
        for ours, array in zip(pair, theirs, strict=True):
            assert ours.dtype == np.float32
            np.testing.assert_array_equal(ours, array)
    return weights


@pytest.fixture(scope="module")
def vgg16(keras):
    model = keras.applications.VGG16(weights=None, include_top=False)
    # Biases begin as zeros, all alike.
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.standard_normal(bias.shape)])
    return model


@pytest.mark.parametrize("layout", ["legacy", "model", "keras3"])
def test_vgg16_without_top(tmp_path, vgg16, layout):
    path = save(vgg16, tmp_path / "x.h5", layout)
    weights = hold_equal(path, vgg16, "vgg16", vgg_shapes(VGG16))
    assert len(weights.warnings) == 1 and "checksum unknown" in weights.warnings[0]
    assert store.check_weights(path)["network"] == "vgg16"
    with pytest.raises(WeightsError, match="conv3_4, conv4_4, conv5_4.*those of vgg16"):
        store.load_weights(path, "vgg19", vgg_shapes(VGG19))


@pytest.mark.parametrize("layout", ["legacy", "keras3"])
def test_vgg19_without_top(tmp_path, keras, layout):
    model = keras.applications.VGG19(weights=None, include_top=False)
    hold_equal(save(model, tmp_path / "x.h5", layout), model, "vgg19", vgg_shapes(VGG19))


@pytest.mark.parametrize("layout", ["legacy", "model", "keras3"])
def test_with_top(tmp_path, keras, layout):
    # Keras's VGG-16 with its classifier has 553 MB; the same layers and names with fewer channels have 0.1.
    layers = keras.layers
    x = inputs = keras.Input((8, 8, 3))
    shapes, channels = {}, 3
    for block, (_, wide, count) in VGG16.items():
        wide //= 16
        for index in range(1, count + 1):
            x = layers.Conv2D(wide, 3, padding="same", activation="relu", name=f"block{block}_conv{index}")(x)
            shapes[f"conv{block}_{index}"] = ((3, 3, channels, wide), (wide,))
            channels = wide
        if block in "12":
            x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    features = 2 * 2 * channels
    for name, ours, wide in (("fc1", "fc6", 20), ("fc2", "fc7", 30), ("predictions", "fc8", 10)):
        x = layers.Dense(wide, name=name)(x)
        shapes[ours] = ((features, wide), (wide,))
        features = wide
    model = keras.Model(inputs, x)
    hold_equal(save(model, tmp_path / "x.h5", layout), model, "vgg16", shapes)


@pytest.mark.parametrize("layout", ["legacy", "model", "keras3"])
def test_automatic_names(tmp_path, keras, layout):
    shapes = {f"conv1_{i}": ((3, 3, 3 if i == 1 else 4, 4), (4,)) for i in range(1, 13)}
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), *(keras.layers.Conv2D(4, 3, padding="same") for _ in shapes)]
    )
    weights = store.load_weights(save(model, tmp_path / "x.h5", layout), "vgg16", shapes)
    ours = [array for pair in weights.arrays.values() for array in pair]
    for array, theirs in zip(ours, model.get_weights(), strict=True):
        np.testing.assert_array_equal(array, theirs)
    assert any("in the order" in warning for warning in weights.warnings)


def test_a_network_inside_another_model(tmp_path, keras, vgg16):
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(vgg16(inputs))))
    for layout in ("legacy", "keras3"):
        hold_equal(save(model, tmp_path / "x.h5", layout), vgg16, "vgg16", vgg_shapes(VGG16))
