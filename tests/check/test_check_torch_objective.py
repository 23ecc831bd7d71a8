"""The objective in PyTorch and ours are one function: the same loss, the same gradient, in every setting."""

import numpy as np
import pytest
import torch_compare  # noqa: F401 - skips where PyTorch is missing
from smooth_pictures import random_start, smooth_picture

from nst_manual import Objective
from nst_manual.check import torch_network
from nst_manual.check.torch_objective import VARIANTS, TorchObjective
from nst_manual.errors import NstError, ResourceError, ShapeError, UsageError
from nst_manual.threads import thread_limit

CONTENT, STYLE, OTHER_STYLE = smooth_picture(0, 35, 48), smooth_picture(1, 40, 46), smooth_picture(2, 48, 33)
START = random_start(3, (1, 35, 48, 3))
SMALL = {"network": "vgg11", "weights": "random", "size": 48, "dtype": "float64"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Run products on one thread: of small matrices it is the fastest."""
    with thread_limit(1):
        yield


def differences(styles=(STYLE,), variant="nchw", image=START, **options):
    """Return the relative differences of loss and gradient between both objectives, both called twice."""
    options = SMALL | options
    ours = Objective(CONTENT, styles, **options)
    theirs = TorchObjective(CONTENT, styles, **options, variant=variant)
    for _ in range(2):  # the second call may not depend on what the first has left
        (loss, dx), (other_loss, other_dx) = ours(image), theirs(image)
    assert other_dx.shape == dx.shape
    assert set(theirs.losses) == set(ours.losses)
    bound = 1e-10 if options["dtype"] == "float64" else 0.05
    for name, value in ours.losses.items():
        assert theirs.losses[name] == pytest.approx(value, rel=bound)
    return abs(other_loss - loss) / abs(loss), np.linalg.norm(other_dx - dx) / np.linalg.norm(dx)


@pytest.mark.parametrize("variant", ["nchw", "inplace", "channels-last"])
@pytest.mark.parametrize("preset", ["gatys", "paper", "neural-style", "neural-style-pt"])
def test_loss_and_gradient_are_ours_for_every_preset(preset, variant):
    loss, gradient = differences(preset=preset, variant=variant)
    assert loss < 1e-10
    assert gradient < 1e-8


@pytest.mark.parametrize(
    "options",
    [
        {"content_layers": "conv2_1,relu2_1", "style_layers": "conv1_1,pool1:0.3,relu2_1"},
        {"content_weight": 0, "tv_weight": 2},
        {"style_weight": 0},
        {"content_weight": 0, "style_weight": 0, "tv_weight": 1},
        {"style_size": 33, "pooling": "average"},
        {"network": "vgg16c", "content_layers": "relu3_3", "style_layers": "relu1_1"},
    ],
    ids=lambda options: ",".join(options),
)
@pytest.mark.parametrize("variant", ["nchw", "inplace"])
def test_loss_and_gradient_are_ours_for_other_losses(options, variant):
    loss, gradient = differences(variant=variant, **options)
    assert loss < 1e-10
    assert gradient < 1e-8


def test_several_paintings_are_blended_alike():
    loss, gradient = differences([STYLE, OTHER_STYLE], style_blend=(3, 1))
    assert loss < 1e-10
    assert gradient < 1e-8


def test_float32_differs_by_rounding():
    loss, gradient = differences(dtype="float32")
    assert loss < 1e-5
    assert gradient < 1e-3


def test_bfloat16_differs_by_its_coarser_rounding():
    loss, gradient = differences(dtype="float32", variant="bfloat16")
    assert 1e-7 < loss < 0.05
    assert gradient < 0.2


def test_no_gradients_of_weights_are_asked_for():
    theirs = TorchObjective(CONTENT, [STYLE], **SMALL)
    theirs(START)
    tensors = [tensor for pair in theirs.network.parameters.values() for tensor in pair]
    assert tensors
    assert not any(tensor.requires_grad or tensor.grad is not None for tensor in tensors)


def test_the_loss_alone_is_that_of_a_whole_call():
    theirs = TorchObjective(CONTENT, [STYLE], **SMALL)
    assert theirs.measure(theirs.tensor(START)) == pytest.approx(theirs(START)[0], rel=1e-12)


def test_a_compiler_that_fails_is_one_line(monkeypatch):
    def compile_nothing(function, **options):
        def fail(x):
            raise RuntimeError("no compiler\nand much more about it")

        return fail

    monkeypatch.setattr("torch.compile", compile_nothing)
    with pytest.raises(ResourceError, match="torch.compile: does not work here, no compiler") as error:
        TorchObjective(CONTENT, [STYLE], **SMALL, variant="compile")
    assert "\n" not in str(error.value)


def test_what_is_compiled_is_the_loss(monkeypatch):
    monkeypatch.setattr("torch.compile", lambda function, **options: function)
    loss, gradient = differences(variant="compile")
    assert loss < 1e-10
    assert gradient < 1e-8


def test_an_unknown_variant_is_refused_with_a_suggestion():
    assert "nchw" in VARIANTS
    with pytest.raises(UsageError, match="did you mean 'channels-last'"):
        TorchObjective(CONTENT, [STYLE], **SMALL, variant="channel-last")


def test_bfloat16_has_no_use_for_float64():
    with pytest.raises(UsageError, match="expected dtype float32"):
        TorchObjective(CONTENT, [STYLE], **SMALL, variant="bfloat16")


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ShapeError, match=r"expected shape \(1, 35, 48, 3\)"):
        TorchObjective(CONTENT, [STYLE], **SMALL)(START[:, 1:])


def test_a_missing_torch_is_one_line_with_a_hint(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(NstError, match="pip install torch"):
        torch_network.import_torch()
