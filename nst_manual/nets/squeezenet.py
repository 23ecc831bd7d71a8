"""SqueezeNet 1.1: 1.2 million parameters, for AlexNet's 61.

F. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size"
(2016, arXiv:1602.07360); version 1.1, which its authors published with the code, begins with 3x3 kernels and
pools earlier. Eight fire modules: few channels in between, then two branches side by side.

    x -> squeeze1x1 -> expand1x1 ---
                    -> expand3x3 ---   -> fire2

A ReLU follows every convolution; pooling is in ceil mode; the classifier is a convolution to 1000 channels
and their average, which fits every image size.
"""

from __future__ import annotations

from nst_manual.nets.rows import (
    Concat,
    Conv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    ReLU,
    Row,
    Softmax,
)


def fire(number: int, squeezed: int, expanded: int) -> tuple[Row, ...]:
    """Return the rows of a fire module: `squeezed` channels, then twice `expanded`."""
    name = f"fire{number}"
    return (
        Conv(f"{name}/squeeze1x1", squeezed, 1, padding=0),
        ReLU(f"{name}/relu_squeeze1x1"),
        Concat(
            name,
            (
                (Conv(f"{name}/expand1x1", expanded, 1, padding=0), ReLU(f"{name}/relu_expand1x1")),
                (Conv(f"{name}/expand3x3", expanded, 3), ReLU(f"{name}/relu_expand3x3")),
            ),
        ),
    )


FEATURES: tuple[Row, ...] = (
    Conv("conv1", 64, 3, stride=2, padding=0),
    ReLU("relu1"),
    MaxPool("pool1", 3, 2, ceil_mode=True),
    *fire(2, 16, 64),
    *fire(3, 16, 64),
    MaxPool("pool3", 3, 2, ceil_mode=True),
    *fire(4, 32, 128),
    *fire(5, 32, 128),
    MaxPool("pool5", 3, 2, ceil_mode=True),
    *fire(6, 48, 192),
    *fire(7, 48, 192),
    *fire(8, 64, 256),
    *fire(9, 64, 256),
)
TOP: tuple[Row, ...] = (
    Dropout("drop9"),
    Conv("conv10", 1000, 1, padding=0),
    ReLU("relu10"),
    GlobalAvgPool("pool10"),
    Flatten("flatten"),
    Softmax("softmax"),
)

# What stands for VGG's layers where a preset names those. There are four depths; the fifth is the last block.
COUNTERPARTS = {
    "conv1_1": "conv1",
    "conv2_1": "fire2",
    "conv3_1": "fire4",
    "conv4_1": "fire6",
    "conv4_2": "fire7",
    "conv5_1": "fire9",
    "relu1_1": "relu1",
    "relu2_1": "fire2",
    "relu3_1": "fire4",
    "relu4_1": "fire6",
    "relu4_2": "fire7",
    "relu5_1": "fire9",
}
