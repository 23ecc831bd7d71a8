"""GoogLeNet, the first Inception network, in the two forms for which there are weights.

C. Szegedy et al., "Going deeper with convolutions" (CVPR 2015, arXiv:1409.4842), table 1: two convolutions,
and nine blocks of four branches whose outputs stand side by side.

    x -> 1x1 --------------------------------- 1x1
      -> 3x3_reduce (1x1) -> 3x3 ------------- 3x3
      -> 5x5_reduce (1x1) -> 5x5 ------------- 5x5
      -> pool (3x3, stride 1) -> pool_proj --- pool_proj          -> inception3a

    CAFFE        Caffe's bvlc_googlenet, the paper's: local response normalisation, pooling in ceil mode
    NORMALISED   torchvision's: batch normalisation behind every convolution (folded into it here, when the
                 weights are read), 3x3 where 5x5 is written, 2x2 in pool4

A ReLU follows every convolution. The two auxiliary classifiers were there for training; they are left out.
"""

from __future__ import annotations

from nst_manual.nets.rows import (
    LRN,
    Concat,
    Conv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    ReLU,
    Row,
    Softmax,
)

# Channels of 1x1, 3x3_reduce, 3x3, 5x5_reduce, 5x5, pool_proj: table 1 of the paper.
BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
BATCH_NORM_EPSILON = 1e-3  # torchvision's, of every convolution of NORMALISED


def inception(block: str, five: int = 5) -> Concat:
    """Return the block with its four branches; `five` is the size of the kernels that are called 5x5."""
    ones, reduce3, threes, reduce5, fives, projected = BLOCKS[block]
    name = f"inception{block}"

    def conv(part: str, channels: int, kernel_size: int = 1) -> tuple[Row, Row]:
        convolution = Conv(f"{name}/{part}", channels, kernel_size, padding=kernel_size // 2)
        return convolution, ReLU(f"{name}/relu_{part}")

    return Concat(
        name,
        (
            conv("1x1", ones),
            (*conv("3x3_reduce", reduce3), *conv("3x3", threes, 3)),
            (*conv("5x5_reduce", reduce5), *conv("5x5", fives, five)),
            (MaxPool(f"{name}/pool", 3, 1, padding=1), *conv("pool_proj", projected)),
        ),
    )


CAFFE: tuple[Row, ...] = (
    Conv("conv1", 64, 7, stride=2, padding=3),
    ReLU("relu1"),
    MaxPool("pool1", 3, 2, ceil_mode=True),
    LRN("norm1"),
    Conv("conv2_reduce", 64, 1, padding=0),
    ReLU("relu2_reduce"),
    Conv("conv2", 192),
    ReLU("relu2"),
    LRN("norm2"),
    MaxPool("pool2", 3, 2, ceil_mode=True),
    inception("3a"),
    inception("3b"),
    MaxPool("pool3", 3, 2, ceil_mode=True),
    inception("4a"),
    inception("4b"),
    inception("4c"),
    inception("4d"),
    inception("4e"),
    MaxPool("pool4", 3, 2, ceil_mode=True),
    inception("5a"),
    inception("5b"),
)
NORMALISED: tuple[Row, ...] = (
    Conv("conv1", 64, 7, stride=2, padding=3),
    ReLU("relu1"),
    MaxPool("pool1", 3, 2, ceil_mode=True),
    Conv("conv2_reduce", 64, 1, padding=0),
    ReLU("relu2_reduce"),
    Conv("conv2", 192),
    ReLU("relu2"),
    MaxPool("pool2", 3, 2, ceil_mode=True),
    inception("3a", 3),
    inception("3b", 3),
    MaxPool("pool3", 3, 2, ceil_mode=True),
    inception("4a", 3),
    inception("4b", 3),
    inception("4c", 3),
    inception("4d", 3),
    inception("4e", 3),
    MaxPool("pool4", 2, 2, ceil_mode=True),
    inception("5a", 3),
    inception("5b", 3),
)


def top(dropout: float) -> tuple[Row, ...]:
    """Return the classifier, which fits every image size; `dropout` is the share that training zeroed."""
    return (
        GlobalAvgPool("pool5"),
        Flatten("flatten"),
        Dropout("drop", dropout),
        Linear("fc", 1000),
        Softmax("softmax"),
    )


# What stands for VGG's layers where a preset names those: the layers of the same step, pooled as often.
COUNTERPARTS = {
    "conv1_1": "conv1",
    "conv2_1": "conv2",
    "conv3_1": "inception3a",
    "conv4_1": "inception4a",
    "conv4_2": "inception4b",
    "conv5_1": "inception5a",
    "relu1_1": "relu1",
    "relu2_1": "relu2",
    "relu3_1": "inception3a",
    "relu4_1": "inception4a",
    "relu4_2": "inception4b",
    "relu5_1": "inception5a",
}
