"""Masks from pictures, at other sizes and at the layers of networks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nst_manual.errors import ImageError, ShapeError, UsageError
from nst_manual.images.masks import flat_colours, masks_at, read_mask, read_masks, read_regions, scale_mask
from nst_manual.nets import Network, get_network
from nst_manual.nets.geometry import layers as geometry
from nst_manual.nets.rows import Concat, Conv, GlobalAvgPool, MaxPool

RED, GREEN, BLACK, WHITE = (230, 20, 20), (20, 200, 40), (0, 0, 0), (255, 255, 255)
every_network = pytest.mark.parametrize(
    "name", ["vgg11", "vgg16c", "alexnet", "alexnet-caffe", "googlenet", "squeezenet"]
)
RULES = ("average", "grown", "inside")


def hard(seed, height, width, share=0.5):
    """A mask of 0 and 1: a blob and some single pixels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    blob = (rows - rng.uniform(0, height)) ** 2 + (
        columns - rng.uniform(0, width)
    ) ** 2 < share * height * width / 3
    return (blob ^ (rng.uniform(size=(height, width)) < 0.003)).astype(float)


# -- at the layers of a network ------------------------------------------------------------------------------


def seen_by_torch(name, mask, names):
    """Return layer -> whether each position sees a pixel of the mask: weights are 1, maxima are sums."""
    torch = pytest.importorskip("torch")
    found = {}

    def go(table, x):
        for row in table:
            if isinstance(row, Concat):
                x = sum(go(branch, x) for branch in row.branches)
            elif isinstance(row, Conv):
                ones = torch.ones(1, 1, row.kernel_size, row.kernel_size, dtype=x.dtype)
                x = torch.conv2d(x, ones, None, row.stride, row.padding, row.dilation)
            elif isinstance(row, MaxPool):
                geometry_ = (row.kernel_size, row.stride, row.padding, row.ceil_mode)
                x = torch.nn.functional.avg_pool2d(x, *geometry_, divisor_override=1)
            elif isinstance(row, GlobalAvgPool):
                x = x.sum(dim=(2, 3), keepdim=True)
            x = (x > 0).to(x.dtype)
            found[row.name] = x[0, 0].numpy()
        return x

    go(get_network(name).covering(names).rows, torch.tensor(mask)[None, None])
    return found


@every_network
def test_a_position_has_what_its_receptive_field_has(name):
    network = get_network(name).without_top()
    names = [layer.name for layer in geometry(network, (97, 118))]
    for seed in range(2):
        mask = hard(seed, 97, 118)
        grown, inside = (masks_at(network, mask, names, rule) for rule in ("grown", "inside"))
        some, others = seen_by_torch(name, mask, names), seen_by_torch(name, 1 - mask, names)
        assert list(grown) == list(inside) == names
        for layer in names:
            np.testing.assert_array_equal(grown[layer], some[layer], err_msg=layer)
            np.testing.assert_array_equal(inside[layer], 1 - others[layer], err_msg=layer)
            assert (inside[layer] <= grown[layer]).all()


@every_network
@pytest.mark.parametrize("rule", RULES)
def test_the_positions_are_those_of_the_layer(name, rule):
    network = get_network(name).without_top()
    for size in [(71, 96), (128, 79)]:
        table = geometry(network, size)
        found = masks_at(network, np.ones((*size, 2)), [layer.name for layer in table], rule)
        for layer in table:
            assert found[layer.name].shape == (*layer.output_shape[:2], 2), layer.name
            assert found[layer.name].dtype == np.float32
            # a mask of ones is one everywhere, padding or not
            np.testing.assert_allclose(found[layer.name], 1, rtol=1e-6, err_msg=layer.name)


@pytest.mark.parametrize("rule", RULES)
def test_the_positions_are_those_of_ceil_mode_where_the_network_has_it(rule):
    from nst_manual.nn import load_network

    for pooling, size in [("max-ceil", (10, 12)), ("max", (9, 11)), ("average", (9, 11))]:
        network = load_network("vgg11", "random", "pool2", pooling=pooling)
        shape = network.forward(np.zeros((1, 37, 45, 3), np.float32)).shape[1:3]
        found = masks_at(get_network("vgg11"), np.ones((37, 45)), ["pool2"], rule, pooling)["pool2"]
        assert found.shape == shape == size
        np.testing.assert_allclose(found, 1)


@every_network
def test_soft_regions_that_sum_to_one_do_so_at_every_layer(name):
    network = get_network(name).without_top()
    names = [layer.name for layer in geometry(network, (80, 99))]
    masks = np.random.default_rng(0).dirichlet(np.ones(3), (80, 99))
    for layer, found in masks_at(network, masks, names).items():
        np.testing.assert_allclose(found.sum(axis=2), 1, rtol=1e-5, err_msg=layer)
        assert found.min() >= 0


def test_in_vgg_the_average_is_that_of_the_pools():
    mask = np.random.default_rng(0).uniform(0, 1, (48, 64))
    found = masks_at(get_network("vgg19"), mask, ["relu1_1", "conv2_1", "relu3_4", "conv5_1"])
    for layer, step in [("relu1_1", 1), ("conv2_1", 2), ("relu3_4", 4), ("conv5_1", 16)]:
        blocks = mask.reshape(48 // step, step, 64 // step, step).mean(axis=(1, 3))
        np.testing.assert_allclose(found[layer], blocks, rtol=1e-5)


@pytest.mark.parametrize("name", ["alexnet", "alexnet-caffe", "googlenet", "squeezenet"])
def test_the_average_stays_where_it_was(name):
    """A spot is where it was at every layer: strides and paddings do not move it."""
    network = get_network(name).without_top()
    rows, columns = np.mgrid[:224, :260]
    spot = np.exp(-((rows - 110.0) ** 2 + (columns - 140.0) ** 2) / (2 * 18**2))
    table = [layer for layer in geometry(network, (224, 260)) if layer.step in (2, 4, 8, 16)]
    names = [layer.name for layer in table]
    masks = np.stack([spot, rows / 300, columns / 300], axis=-1)
    found, last, first = (masks_at(network, masks, names, rule) for rule in ("average", "grown", "inside"))
    for layer in table:
        # of a slope, the place in the picture that stands behind a position
        values, *behind = np.moveaxis(found[layer.name].astype(float), 2, 0)
        middle = [300 * (values * axis).sum() / values.sum() for axis in behind]
        np.testing.assert_allclose(middle, [110, 140], atol=0.05 * layer.step, err_msg=layer.name)
        assert 300 * np.diff(behind[0][4:-4, 0]).mean() == pytest.approx(layer.step, rel=1e-3), layer.name
        # it is in the middle of all that the position sees
        if layer.receptive_field < 150:
            i, j = (side // 2 for side in values.shape)
            seen = (last[layer.name][i, j, 1:] + first[layer.name][i, j, 1:]) / 2
            np.testing.assert_allclose(
                300 * np.array([axis[i, j] for axis in behind]),
                300 * seen,
                atol=0.5 * layer.step,
                err_msg=layer.name,
            )


def windows_by_hand(mask, k, s, p):
    """AlexNet's first convolution: of each window of k the s x s pixels in the middle."""
    inset = (k - s) // 2
    count = [(side + 2 * p - k) // s + 1 for side in mask.shape]
    found = np.zeros(count)
    for i, j in np.ndindex(*count):
        top, left = i * s - p + inset, j * s - p + inset
        found[i, j] = mask[max(top, 0) : top + s, max(left, 0) : left + s].mean()
    return found


def test_a_convolution_with_a_stride_averages_the_middle_of_its_windows():
    mask = np.random.default_rng(0).uniform(0, 1, (70, 83))
    for name, padding in [("alexnet", 2), ("alexnet-caffe", 0)]:
        found = masks_at(get_network(name), mask, ["conv1"])["conv1"]
        np.testing.assert_allclose(found, windows_by_hand(mask, 11, 4, padding), rtol=1e-5)


@pytest.mark.parametrize("rule", ["grown", "inside"])
def test_soft_masks_grow_and_shrink_level_by_level(rule):
    network, mask = get_network("googlenet"), np.random.default_rng(0).integers(0, 5, (64, 70)) / 4
    mask[20:50, 20:50] = 1
    names = ["conv1", "pool1", "conv2", "inception3a"]
    names = [name for name in names if name in network.names] or network.names[:8]
    soft = masks_at(network, mask, names, rule)
    for level in (0.25, 0.5, 0.75, 1.0):
        for layer, found in masks_at(network, (mask >= level).astype(float), names, rule).items():
            np.testing.assert_array_equal(soft[layer] >= level, found == 1, err_msg=layer)


@pytest.mark.parametrize("rule", ["grown", "inside"])
def test_a_dilated_convolution_sees_what_its_taps_see(rule):
    network = Network("dilated", (Conv("conv", 4, 3, stride=2, padding=3, dilation=2),), ())
    mask = np.random.default_rng(0).uniform(0, 1, (9, 12))
    found = masks_at(network, mask, ["conv"], rule)["conv"]
    assert found.shape == (6, 7)
    for i, j in np.ndindex(*found.shape):
        taps = [(2 * i + u, 2 * j + v) for u in (-3, -1, 1) for v in (-3, -1, 1)]
        seen = [mask[tap] for tap in taps if 0 <= tap[0] < 9 and 0 <= tap[1] < 12]
        if seen:
            assert found[i, j] == np.float32(max(seen) if rule == "grown" else min(seen))


@pytest.mark.parametrize("rule", RULES)
def test_a_position_that_sees_padding_alone_has_the_nearest_pixel(rule):
    network = Network("bordered", (Conv("conv", 4, 1, padding=1),), ())
    mask = np.random.default_rng(0).uniform(0, 1, (5, 6)).astype(np.float32)
    np.testing.assert_array_equal(
        masks_at(network, mask, ["conv"], rule)["conv"], np.pad(mask, 1, mode="edge")
    )


def test_a_mask_alone_and_several_are_the_same():
    network, masks = get_network("vgg11"), np.random.default_rng(0).uniform(0, 1, (40, 50, 3))
    before = masks.copy()
    for rule in RULES:
        together = masks_at(network, masks, ["relu2_1", "relu1_1"], rule)
        assert list(together) == ["relu2_1", "relu1_1"]
        for r in range(3):
            alone = masks_at(network, masks[..., r], ["relu2_1"], rule)["relu2_1"]
            np.testing.assert_array_equal(alone, together["relu2_1"][..., r])
    np.testing.assert_array_equal(masks, before)
    assert masks_at(network, masks > 0.5, ["relu1_1"], "inside")["relu1_1"].dtype == np.float32


def test_a_mask_at_the_output_of_a_global_average():
    network = get_network("squeezenet")
    pools = [row.name for row in network.top if isinstance(row, GlobalAvgPool)]
    assert pools  # in the classifier, which masks do not go through
    with pytest.raises(UsageError, match="is unknown"):
        masks_at(network, np.ones((64, 64)), pools)


def test_what_cannot_be_carried_through():
    network = get_network("vgg11")
    with pytest.raises(UsageError, match="mask rule: 'grow' is unknown, did you mean 'grown'"):
        masks_at(network, np.ones((32, 32)), ["relu1_1"], "grow")
    with pytest.raises(UsageError, match="'relu1_9' is unknown"):
        masks_at(network, np.ones((32, 32)), ["relu1_9"])
    with pytest.raises(UsageError, match="the mask, 1 x 4 there, is too small for pool1"):
        masks_at(network, np.ones((1, 4)), ["relu2_1"])
    for mask in (np.ones(5), np.ones((1, 4, 4, 1)), np.ones((0, 4)), np.full((4, 4), "a")):
        with pytest.raises(ShapeError, match="mask: expected"):
            masks_at(network, mask, ["relu1_1"])


# -- from pictures -------------------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_a_grey_picture_is_a_soft_mask(height, width, seed):
    grey = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    for picture in (grey, np.repeat(grey[..., None], 3, axis=2), Image.fromarray(grey)):
        mask = read_mask(picture)
        assert mask.dtype == np.float32
        np.testing.assert_allclose(mask, grey / 255, atol=1e-6)
        assert mask.min() >= 0
        assert mask.max() <= 1


def test_a_coloured_picture_counts_by_its_luminance():
    picture = np.array([[RED, GREEN, BLACK, WHITE]], np.uint8)
    wanted = [(0.299 * r + 0.587 * g + 0.114 * b) / 255 for r, g, b in (RED, GREEN, BLACK, WHITE)]
    np.testing.assert_allclose(read_mask(picture), [wanted], atol=1e-6)


def test_masks_from_several_files_have_one_size(tmp_path):
    for name, height in [("sky", 20), ("sea", 31)]:
        picture = np.zeros((height, 2 * height), np.uint8)
        picture[: height // 2] = 255
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    masks = read_masks([str(tmp_path / "sky.png"), tmp_path / "sea.png"], (40, 60))
    assert masks.shape == (40, 60, 2)
    assert masks.dtype == np.float32
    assert (masks[:15] == 1).all()
    assert (masks[25:] == 0).all()
    with pytest.raises(ImageError, match="mask 2 .*does not exist"):
        read_masks([tmp_path / "sky.png", tmp_path / "no.png"], (40, 60))
    with pytest.raises(UsageError, match="at least one"):
        read_masks([], (40, 60))


def regions_picture():
    """Three flat colours: left half black, right half white above and red below."""
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[:12, 16:] = WHITE
    picture[12:, 16:] = RED
    return picture


def test_regions_by_the_colours_that_are_there():
    colours, masks = read_regions(regions_picture())
    np.testing.assert_array_equal(colours, [BLACK, RED, WHITE])  # dark to light
    assert masks.dtype == np.float32
    for r, where in enumerate([np.s_[:, :16], np.s_[12:, 16:], np.s_[:12, 16:]]):
        expected = np.zeros((24, 32))
        expected[where] = 1
        np.testing.assert_array_equal(masks[..., r], expected)


def test_regions_by_given_colours_in_their_order():
    colours, masks = read_regions(regions_picture(), [WHITE, (90, 0, 0)])
    np.testing.assert_array_equal(colours, [WHITE, (90, 0, 0)])
    assert masks[0, 31].tolist() == [1, 0]
    assert masks[0, 0].tolist() == [0, 1]
    assert masks[23, 31].tolist() == [0, 1]
    np.testing.assert_array_equal(masks.sum(axis=2), 1)


def test_regions_of_a_compressed_picture_with_soft_edges(tmp_path):
    # enlarged with edges several pixels wide
    large = Image.fromarray(regions_picture()).resize((200, 150), Image.Resampling.BILINEAR)
    large.save(tmp_path / "regions.jpg", quality=70)
    colours, masks = read_regions(tmp_path / "regions.jpg", size=(75, 100))
    assert len(colours) == 3
    assert np.abs(colours - [BLACK, RED, WHITE]).max() < 16
    assert masks.shape == (75, 100, 3)
    np.testing.assert_allclose(masks.sum(axis=2), 1, atol=1e-6)
    assert masks[10, 10, 0] == masks[65, 90, 1] == masks[10, 90, 2] == 1


def test_regions_that_are_none():
    with pytest.raises(UsageError, match="at least two colours, all different, got #000000"):
        read_regions(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UsageError, match="all different"):
        read_regions(regions_picture(), [WHITE, WHITE])
    with pytest.raises(UsageError, match="no pixel is nearest to #14c828"):
        read_regions(regions_picture(), [BLACK, WHITE, GREEN, RED])
    for wrong in ([(0, 0, 300), (0, 0, 0)], [(0, 0), (1, 1)], [1, 2], [(np.nan, 0, 0), (0, 0, 0)]):
        with pytest.raises(UsageError, match=r"expected colours \(r, g, b\) of 0\.\.255"):
            read_regions(regions_picture(), wrong)
    squares = np.stack(
        np.meshgrid([0, 80, 160, 240], [0, 80, 160, 240], [0, 80, 160], indexing="ij"), axis=-1
    )
    photograph = np.repeat(np.repeat(squares.reshape(1, -1, 3), 8, axis=0), 8, axis=1).astype(np.uint8)
    with pytest.raises(UsageError, match="at most 16 flat colours, found more"):
        read_regions(photograph)


def test_specks_are_no_region():
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[50:] = 255
    picture[10:18, 20:30] = RED  # inside its edges 0.48 percent
    np.testing.assert_array_equal(flat_colours(picture.astype(float)), [BLACK, WHITE])
    picture[10:22, 20:32] = RED
    np.testing.assert_array_equal(flat_colours(picture.astype(float)), [BLACK, RED, WHITE])


# -- at other sizes ------------------------------------------------------------------------------------------


@given(st.tuples(*[st.integers(1, 12)] * 4), st.integers(0, 99))
def test_scaled_masks_stay_masks(sides, seed):
    height, width, h, w = sides
    masks = np.random.default_rng(seed).dirichlet(np.ones(3), (height, width))
    scaled = scale_mask(masks, (h, w))
    assert scaled.shape == (h, w, 3)
    assert scaled.dtype == np.float32
    assert scaled.min() >= 0
    np.testing.assert_allclose(scaled.sum(axis=2), 1, rtol=1e-5)
    np.testing.assert_array_equal(scale_mask(masks[..., 1], (h, w)), scaled[..., 1])


def test_the_same_size_is_a_copy_and_halves_are_means():
    mask = np.zeros((4, 8))
    mask[:, 4:] = 1
    same = scale_mask(mask, (4, 8))
    np.testing.assert_array_equal(same, mask)
    same[:] = 7
    assert mask.max() == 1
    half = scale_mask(mask, (2, 4))
    np.testing.assert_allclose(half, [[0, 0.125, 0.875, 1]] * 2, atol=1e-6)  # a triangle two pixels wide


def test_sizes_that_are_none():
    for size in [(0, 4), (4, -1)]:
        with pytest.raises(UsageError, match="at least 1 pixel"):
            scale_mask(np.ones((4, 4)), size)
    with pytest.raises(ShapeError, match=r"expected \(H, W\) or \(H, W, R\)"):
        scale_mask(np.ones((1, 4, 4, 3)), (2, 2))
