"""AlexNet, in the two forms for which there are weights.

A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks"
(NIPS 2012): five convolutions, the first of 11x11 pixels and stride 4, and three fully connected layers.

    CAFFE    Caffe's bvlc_alexnet, for 227 x 227 pixels: convolutions in two groups where the paper had two
             GPUs, local response normalisation behind the first two ReLUs, pooling in ceil mode
    ONE      the one tower of A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks"
             (2014, arXiv:1404.5997), for 224 x 224 pixels: no groups, no normalisation; torchvision's
"""

from __future__ import annotations

from nst_manual.nets.rows import LRN, Conv, Dropout, Flatten, Linear, MaxPool, ReLU, Row, Softmax

CAFFE: tuple[Row, ...] = (
    Conv("conv1", 96, 11, stride=4, padding=0),
    ReLU("relu1"),
    LRN("norm1"),
    MaxPool("pool1", 3, 2, ceil_mode=True),
    Conv("conv2", 256, 5, padding=2, groups=2),
    ReLU("relu2"),
    LRN("norm2"),
    MaxPool("pool2", 3, 2, ceil_mode=True),
    Conv("conv3", 384),
    ReLU("relu3"),
    Conv("conv4", 384, groups=2),
    ReLU("relu4"),
    Conv("conv5", 256, groups=2),
    ReLU("relu5"),
    MaxPool("pool5", 3, 2, ceil_mode=True),
)
ONE: tuple[Row, ...] = (
    Conv("conv1", 64, 11, stride=4, padding=2),
    ReLU("relu1"),
    MaxPool("pool1", 3, 2),
    Conv("conv2", 192, 5, padding=2),
    ReLU("relu2"),
    MaxPool("pool2", 3, 2),
    Conv("conv3", 384),
    ReLU("relu3"),
    Conv("conv4", 256),
    ReLU("relu4"),
    Conv("conv5", 256),
    ReLU("relu5"),
    MaxPool("pool5", 3, 2),
)


def top(dropout_first: bool) -> tuple[Row, ...]:
    """Return the classifier; torchvision's drops before a fully connected layer, Caffe's behind its ReLU."""
    drops = Dropout("drop6"), Dropout("drop7")
    if dropout_first:
        middle = (drops[0], Linear("fc6", 4096), ReLU("relu6"), drops[1], Linear("fc7", 4096), ReLU("relu7"))
    else:
        middle = (Linear("fc6", 4096), ReLU("relu6"), drops[0], Linear("fc7", 4096), ReLU("relu7"), drops[1])
    return (Flatten("flatten"), *middle, Linear("fc8", 1000), Softmax("softmax"))


# What stands for VGG's layers where a preset names those: the five depths, and the content's.
COUNTERPARTS = {
    f"{kind}{depth}_1": f"{kind}{depth}" for kind in ("conv", "relu") for depth in range(1, 6)
} | {
    "conv4_2": "conv4",
    "relu4_2": "relu4",
}
