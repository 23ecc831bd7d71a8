"""Patch loss against plain loops and PyTorch."""

import numpy as np
import pytest
from loss_reference import assert_every_element, gradient_of

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses import patch
from nst_manual.losses.patch import PatchLoss

SETTINGS = [
    {},
    {"form": "distance"},
    {"stride": 2, "target_stride": 2},
    {"form": "distance", "stride": 3, "target_stride": 2},
]
every_setting = pytest.mark.parametrize("settings", SETTINGS, ids=str)


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def made(painting, weight=1.0, **settings):
    return PatchLoss(PatchLoss.target_of(painting), weight, **settings)


def loss_of(module, x):
    module.update_output(x)
    return module.loss


def patches(image, stride):
    """Row, column and values of each patch."""
    height, width = image.shape[:2]
    for h in range(0, height - 2, stride):
        for w in range(0, width - 2, stride):
            yield h, w, image[h : h + 3, w : w + 3]


def by_loops(image, painting, form="correlation", stride=1, target_stride=1):
    """The loss of one image with weight 1, and its gradient with the matches held constant."""
    value, gradient, count = 0.0, np.zeros_like(image), 0
    for h, w, p in patches(image, stride):
        best, nearest = -np.inf, None
        for _, _, q in patches(painting, target_stride):
            if form == "correlation":
                norm = np.linalg.norm(p) * np.linalg.norm(q)
                score = np.sum(p * q) / norm if norm else 0.0
            else:
                score = -np.sum((p - q) ** 2)
            if score > best:
                best, nearest = score, q
        value += np.sum((p - nearest) ** 2)
        gradient[h : h + 3, w : w + 3] += 2 * (p - nearest)
        count += 9 * image.shape[2]
    return value / count, gradient / count


@every_setting
@pytest.mark.parametrize("shape", [(1, 6, 5, 4), (2, 3, 7, 2), (1, 3, 3, 1), (1, 9, 4, 3)])
def test_value_and_gradient_are_those_of_plain_loops(settings, shape):
    painting, x = draw(0, 1, 7, 8, shape[3]), draw(1, *shape)
    module = made(painting, 0.6, **settings)
    dx = gradient_of(module, x)
    values, gradients = zip(*(by_loops(image, painting[0], **settings) for image in x), strict=True)
    assert module.loss == pytest.approx(0.6 * sum(values), rel=1e-12)
    np.testing.assert_allclose(dx, 0.6 * np.stack(gradients), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("form", patch.FORMS)
def test_the_painting_itself_and_parts_of_it_cost_nothing(form):
    painting = draw(0, 1, 9, 8, 3)
    module = made(painting, form=form)
    for x in (painting, painting[:, 2:7, 3:], painting[:, 4:7, 1:4]):
        assert not gradient_of(module, x).any()
        assert module.loss == 0
    np.testing.assert_array_equal(module.matches[0][0], [[[4]], [[1]]])
    assert loss_of(module, painting[:, ::-1]) > 0.1


def test_correlation_looks_at_direction_and_distance_at_length_too():
    # two flat paintings side by side; the one is twice the image's patches, the other is near and not alike
    painting = np.zeros((1, 3, 6, 2))
    painting[:, :, :3], painting[:, :, 3:] = [2.0, 0.0], [0.9, 0.3]
    x = np.zeros((1, 3, 3, 2)) + [1.0, 0.0]
    assert loss_of(made(painting), x) == pytest.approx(1 / 2)
    assert loss_of(made(painting, form="distance"), x) == pytest.approx((0.01 + 0.09) / 2)


def test_of_equal_matches_the_first_is_taken_whatever_the_tiles(monkeypatch):
    tile = draw(0, 1, 3, 3, 2)
    painting = np.concatenate([np.concatenate([tile] * 4, axis=1)] * 3, axis=2)
    for values in (2**22, 1):
        monkeypatch.setattr(patch, "TILE_VALUES", values)
        module = made(painting)
        module.update_output(tile)
        np.testing.assert_array_equal(module.matches[0][0], [[[0]], [[0]]])


@every_setting
@pytest.mark.parametrize("values", [1, 300, 2000])
def test_tiles_and_bands_of_any_size_give_the_same(settings, values, monkeypatch):
    module, x = made(draw(0, 1, 11, 7, 3), **settings), draw(1, 2, 10, 9, 3)
    expected = gradient_of(module, x)
    monkeypatch.setattr(patch, "TILE_VALUES", values)
    monkeypatch.setattr(patch, "BAND_VALUES", values)
    np.testing.assert_allclose(gradient_of(module, x), expected, rtol=1e-12, atol=1e-15)


def test_no_array_grows_beyond_the_tile(monkeypatch):
    sizes = []

    def scratch(name, shape, dtype, like):
        sizes.append(np.prod(shape))
        return np.empty(shape, dtype)

    monkeypatch.setattr(patch, "scratch", scratch)
    monkeypatch.setattr(patch, "TILE_VALUES", 10_000)
    made(draw(0, 1, 40, 20, 2)).update_output(draw(1, 1, 30, 25, 2))
    assert max(sizes) <= 10_000
    assert len(sizes) > 3 * 10


@pytest.mark.parametrize("seed", range(2))
@every_setting
def test_gradcheck(seed, settings):
    module = made(draw(seed, 1, 6, 7, 4), 1.7, **settings)
    report = gradcheck(module, draw(seed + 10, 1, 6, 5, 4))
    assert report.passed, str(report)


def test_every_element_of_the_gradient():
    assert_every_element(made(draw(0, 1, 5, 6, 3), 0.7), draw(1, 1, 4, 5, 3))


@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient_are_those_of_pytorch(seed):
    torch = pytest.importorskip("torch", reason="comparison with PyTorch: pip install torch==2.13.0")
    painting, x = draw(seed, 1, 9, 8, 4), draw(seed + 9, 1, 8, 11, 4)
    leaf = torch.tensor(x, requires_grad=True)
    p, q = (torch.nn.functional.unfold(f.permute(0, 3, 1, 2), 3)[0].T for f in (leaf, torch.tensor(painting)))
    nearest = torch.nn.functional.cosine_similarity(p[:, None], q[None], dim=2).argmax(1)
    loss = 0.7 * ((p - q[nearest]) ** 2).mean()
    loss.backward()
    module = made(painting, 0.7)
    dx = gradient_of(module, x)
    assert module.loss == pytest.approx(loss.item(), rel=1e-12)
    assert np.linalg.norm(dx - leaf.grad.numpy()) <= 1e-12 * np.linalg.norm(dx)


def test_a_blend_is_the_mean_of_the_losses():
    one, other, x = draw(0, 1, 6, 5, 3), draw(1, 1, 4, 8, 3), draw(2, 1, 5, 6, 3)
    targets = [PatchLoss.target_of(painting) for painting in (one, other)]
    blended = PatchLoss(PatchLoss.blend(targets, [0.3, 0.7]))
    dx = gradient_of(blended, x)
    first, second = made(one), made(other)
    expected = 0.3 * gradient_of(first, x) + 0.7 * gradient_of(second, x)
    assert blended.loss == pytest.approx(0.3 * first.loss + 0.7 * second.loss, rel=1e-13)
    np.testing.assert_allclose(dx, expected, rtol=1e-12, atol=1e-16)


def test_black_patches_are_like_none():
    painting, x = np.zeros((1, 3, 7, 2)), draw(0, 1, 3, 3, 2)
    painting[:, :, 4:] = x
    module = made(painting)
    assert not gradient_of(module, x).any()
    assert np.isfinite(loss_of(module, np.zeros((1, 4, 4, 2))))


def test_float32_is_right_to_its_precision():
    painting, x = (draw(seed, 1, 12, 15, 6).astype(np.float32) * 90 for seed in (0, 1))
    single, double = made(painting), made(painting.astype(float))
    dx, expected = gradient_of(single, x), gradient_of(double, x.astype(float))
    assert dx.dtype == np.float32
    assert type(single.loss) is float
    assert single.loss == pytest.approx(double.loss, rel=1e-6)
    assert np.linalg.norm(dx - expected) <= 1e-6 * np.linalg.norm(expected)


def test_the_target_is_a_copy_and_the_state_is_let_go():
    painting, x = draw(0, 1, 5, 6, 3), draw(1, 1, 4, 5, 3)
    assert not np.shares_memory(PatchLoss.target_of(painting)[1], painting)
    module = made(painting)
    expected = gradient_of(module, x)
    module.clear_state()
    assert module.matches is None
    np.testing.assert_array_equal(gradient_of(module, x), expected)


def test_settings_are_printed_and_wrong_ones_refused():
    painting = draw(0, 1, 4, 5, 3)
    assert repr(made(painting, 2.0, target_stride=2)) == "PatchLoss(correlation, stride=1, 2, weight=2)"
    with pytest.raises(UsageError, match="did you mean 'distance'"):
        made(painting, form="distanc")
    for name in ("stride", "target_stride"):
        with pytest.raises(UsageError, match=f"{name}.*at least 1"):
            made(painting, **{name: 0})
    with pytest.raises(ShapeError, match="shares"):
        PatchLoss((np.ones(2), painting))
    with pytest.raises(ShapeError, match="expected 3 channels"):
        made(painting).update_output(draw(0, 1, 4, 5, 2))
    with pytest.raises(ShapeError, match="3 x 3"):
        made(painting).update_output(draw(0, 1, 2, 5, 3))
    for shape in [(2, 4, 5, 3), (4, 5, 3), (1, 2, 5, 3)]:
        with pytest.raises(ShapeError, match=r"\(1, H, W, C\)"):
            PatchLoss.target_of(draw(0, *shape))
