"""The VGG networks: configurations A to E of table 1 in Simonyan and Zisserman, "Very deep convolutional
networks for large-scale image recognition" (ICLR 2015, arXiv:1409.1556).

Five blocks of convolutions, each followed by a ReLU, each block by a 2x2 maximum; then three fully connected
layers. An entry of a configuration is (kernel size, channels). Every 3x3 convolution has padding 1 and stride
1.
"""

from __future__ import annotations

from nst_manual.nets.rows import Conv, Dropout, Flatten, Linear, MaxPool, ReLU, Row, Softmax

A = (
    ((3, 64),),
    ((3, 128),),
    ((3, 256), (3, 256)),
    ((3, 512), (3, 512)),
    ((3, 512), (3, 512)),
)
B = (
    ((3, 64), (3, 64)),
    ((3, 128), (3, 128)),
    ((3, 256), (3, 256)),
    ((3, 512), (3, 512)),
    ((3, 512), (3, 512)),
)
C = (
    ((3, 64), (3, 64)),
    ((3, 128), (3, 128)),
    ((3, 256), (3, 256), (1, 256)),
    ((3, 512), (3, 512), (1, 512)),
    ((3, 512), (3, 512), (1, 512)),
)
D = (
    ((3, 64), (3, 64)),
    ((3, 128), (3, 128)),
    ((3, 256), (3, 256), (3, 256)),
    ((3, 512), (3, 512), (3, 512)),
    ((3, 512), (3, 512), (3, 512)),
)
E = (
    ((3, 64), (3, 64)),
    ((3, 128), (3, 128)),
    ((3, 256), (3, 256), (3, 256), (3, 256)),
    ((3, 512), (3, 512), (3, 512), (3, 512)),
    ((3, 512), (3, 512), (3, 512), (3, 512)),
)

# The classifier; it fits images of 224 x 224 alone. Its rows are left off when features are all that is
# wanted.
TOP: tuple[Row, ...] = (
    Flatten("flatten"),
    Linear("fc6", 4096),
    ReLU("relu6"),
    Dropout("drop6"),
    Linear("fc7", 4096),
    ReLU("relu7"),
    Dropout("drop7"),
    Linear("fc8", 1000),
    Softmax("softmax"),
)


def features(configuration: tuple[tuple[tuple[int, int], ...], ...]) -> tuple[Row, ...]:
    """Return the rows conv1_1, relu1_1, ... pool5 of a configuration."""
    rows: list[Row] = []
    for block, convolutions in enumerate(configuration, start=1):
        for index, (kernel_size, channels) in enumerate(convolutions, start=1):
            rows.append(Conv(f"conv{block}_{index}", channels, kernel_size, padding=kernel_size // 2))
            rows.append(ReLU(f"relu{block}_{index}"))
        rows.append(MaxPool(f"pool{block}"))
    return tuple(rows)
