"""The objective on the GPU's stand-in: the CPU's answers, and one short transfer an evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from smooth_pictures import random_start, smooth_picture

from nst_manual import Objective
from nst_manual.backend import on_gpu, to_host
from nst_manual.errors import DivergedError, UsageError
from nst_manual.losses.representations import NAMES

CONTENT, STYLE, OTHER = smooth_picture(0, 36, 48), smooth_picture(1, 48, 40), smooth_picture(2, 40, 48)
START = random_start(3, (1, 36, 48, 3))
LAYERS = {"content_layers": "relu3_2", "style_layers": "relu1_1,relu2_1,relu3_1"}
SMALL = {"network": "vgg11", "weights": "random", "dtype": "float64", "size": 48} | LAYERS


def grey(seed, height=36, width=48):
    """Return a mask: a smooth grey picture."""
    return np.repeat(smooth_picture(seed, height, width)[..., :1], 3, axis=2)


OPTIONS = {
    "defaults": {"content_layers": None, "style_layers": None},
    "plain": {"plain": True},
    "preset paper": {"preset": "paper"},
    "preset neural-style": {"preset": "neural-style"},
    "preset style-transfer-pytorch": {"preset": "style-transfer-pytorch"},
    "average pooling": {"pooling": "average"},
    "normalized gradients": {"normalize_gradients": True},
    "laplacian and variation": {"laplacian_weight": 10.0, "tv_weight": 1.0, "tv_form": "isotropic"},
    "a sketch": {"sketch": True},
    "an untouched part": {"untouched": grey(5)},
    "a mask of content": {"content_mask": grey(6)},
    "losses at the first convolution": {"content_layers": "conv1_1", "style_layers": "conv1_1,relu1_1"},
    "alexnet": {"network": "alexnet", "style_layers": "relu1,relu2", "content_layers": "relu3"},
    "squeezenet": {"network": "squeezenet", "content_layers": None, "style_layers": None},
} | {f"style as {name}": {"style_representation": name} for name in NAMES if name != "gram"}


def answers(options, styles=(STYLE,), image=None):
    """Return the CPU's objective and the GPU's, and an image for them."""
    options = SMALL | options
    cpu = {key: value for key, value in options.items() if key != "tf32"}
    both = [Objective(CONTENT, list(styles), **cpu, device="cpu")]
    both.append(Objective(CONTENT, list(styles), **options, device="cuda"))
    start = random_start(3, both[0].shape) if image is None else image
    return *both, start.astype(options["dtype"])


@pytest.mark.parametrize("name", OPTIONS)
def test_the_answers_of_the_cpu_with_one_short_transfer(standin, name):
    cpu, gpu, image = answers(OPTIONS[name])
    loss, dx = cpu(image)
    there = gpu.place(image)
    found, gradient, values = gpu.measured(there, lambda dx: [abs(dx).max()])
    assert found == pytest.approx(loss, rel=1e-11)
    assert np.linalg.norm(to_host(gradient) - dx) < 1e-9 * np.linalg.norm(dx)
    assert values == [pytest.approx(abs(dx).max())]
    assert gpu.losses == {key: pytest.approx(value, rel=1e-9) for key, value in cpu.losses.items()}
    standin.counts.reset()
    again = gpu.measured(there, lambda dx: [abs(dx).max()])
    counts = standin.counts
    assert (counts.to_host, counts.synchronisations, counts.to_device) == (1, 1, 0)
    assert counts.bytes_to_host <= 8 * (len(gpu.network.modules) + 1)
    assert again[0] == found and (to_host(again[1]) == to_host(gradient)).all()


def test_several_paintings_and_masks(standin):
    for options in ({"style_combine": "sum"}, {"style_scales": (1.0, 0.6)}, {"style_combine": "average"}):
        cpu, gpu, image = answers(options, (STYLE, OTHER))
        loss, dx = cpu(image)
        found, gradient = gpu(image)
        assert found == pytest.approx(loss, rel=1e-11)
        np.testing.assert_allclose(gradient, dx, rtol=1e-8, atol=1e-9 * abs(dx).max())


def test_the_gradient_lives_where_the_image_does(standin):
    _, gpu, image = answers({})
    assert isinstance(gpu(image)[1], np.ndarray)
    assert on_gpu(gpu(gpu.place(image))[1])


def test_float32_is_as_near_to_float64_as_the_cpu_is(standin):
    exact = answers({})[0](START)[1]
    cpu, gpu, image = answers({"dtype": "float32"})
    error, ours = (np.linalg.norm(f(image)[1] - exact) / np.linalg.norm(exact) for f in (gpu, cpu))
    # two roundings of one size; twice leaves room for which of them is the luckier one
    assert error < 2 * ours < 1e-4


def test_tf32_is_asked_for_and_seen(standin):
    exact = answers({})[0](START)[1]
    _, gpu, image = answers({"dtype": "float32", "tf32": True})
    error = np.linalg.norm(gpu(image)[1] - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < 3e-2  # factors are rounded by up to 2^-11, through a dozen layers
    assert set(gpu.algorithms.values()) == {"cuda-shifted-tf32", "cuda-columns-tf32"}
    compute = standin.cupy.cuda.cublas.CUBLAS_COMPUTE_32F_FAST_TF32
    assert compute in {product[-1] for product in standin.products}
    standin.products.clear()
    answers({"dtype": "float32"})[1](image)
    assert compute not in {product[-1] for product in standin.products}


def test_a_loss_that_is_not_finite_is_named(standin):
    _, gpu, image = answers({})
    image[0, 3, 4] = np.nan
    with pytest.raises(DivergedError, match="style/"):
        gpu(image)
    gpu.network.watch = None
    assert gpu.measure(START) > 0  # and the next one is as it should be


def test_where_a_gradient_overflows_is_found(standin):
    cpu, gpu, image = answers({"content_weight": 1e300, "style_weight": 1e300})
    for objective in (cpu, gpu):
        try:
            loss, dx = objective(image)
        except DivergedError:
            continue
        assert np.isfinite(loss) and dx.shape == image.shape
    assert gpu.first_not_finite(START) == cpu.first_not_finite(START)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tf32": True}, "only with --device cuda"),
        ({"algorithm": "cuda-shifted"}, "does not run with --device cpu"),
        ({"algorithm": "winograd", "device": "cuda"}, "does not run with --device cuda"),
    ],
)
def test_options_without_a_meaning_are_refused(standin, options, words):
    with pytest.raises(UsageError, match=words):
        Objective(CONTENT, [STYLE], **(SMALL | options))


@pytest.mark.parametrize("algorithm", ["cuda-shifted", "cuda-columns", "cuda-winograd", "matmul", "direct"])
def test_every_algorithm_can_be_asked_for(standin, algorithm):
    cpu, gpu, image = answers({"algorithm": algorithm} if not algorithm.startswith("cuda") else {})
    gpu = Objective(CONTENT, [STYLE], **SMALL, device="cuda", algorithm=algorithm)
    assert set(gpu.algorithms.values()) == {algorithm}
    np.testing.assert_allclose(gpu(image)[1], cpu(image)[1], rtol=1e-7, atol=1e-9)
