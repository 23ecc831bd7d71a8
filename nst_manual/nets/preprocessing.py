"""What networks expect of their input: the conventions in which published weights were trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of its input: y = (x[..., order] * scale - mean) / std, x in RGB, 0..255.

    Attributes
    ----------
    order : str
        "RGB" or "BGR": the order of channels after conversion from RGB.
    mean : tuple of 3 floats
        In `order`, in units after scaling.
    scale : float
        Factor on pixels 0..255: 1/255 for networks that expect 0..1.
    std : tuple of 3 floats
        Divisor after the mean, in `order`.
    """

    order: str
    mean: tuple[float, float, float]
    scale: float = 1.0
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def words(self) -> str:
        """The same for people: "BGR 0..255, minus 103.939 116.779 123.68"."""
        largest = f"{255 * self.scale:.6g}"
        text = f"{self.order} 0..{largest}, minus {' '.join(f'{mean:g}' for mean in self.mean)}"
        divided = f", over {' '.join(f'{std:g}' for std in self.std)}"
        return text + (divided if self.std != (1.0, 1.0, 1.0) else "")


# The mean colour of ImageNet as the VGG networks were trained with it in Caffe, and as Keras took it over.
CAFFE_BGR = Preprocessing("BGR", (103.939, 116.779, 123.68))
# The mean over Caffe's own mean image, of its AlexNet; and what its GoogLeNet was trained with.
CAFFE_ALEXNET = Preprocessing("BGR", (104.007, 116.669, 122.679))
CAFFE_GOOGLENET = Preprocessing("BGR", (104.0, 117.0, 123.0))
# CAFFE_BGR where MatConvNet has turned the first kernels.
MATCONVNET = Preprocessing("RGB", (123.68, 116.779, 103.939))
# Mean and deviation of ImageNet in 0..1; and -1..1, with which torchvision's GoogLeNet was trained.
TORCHVISION = Preprocessing("RGB", (0.485, 0.456, 0.406), 1 / 255, (0.229, 0.224, 0.225))
HALF = Preprocessing("RGB", (0.5, 0.5, 0.5), 1 / 255, (0.5, 0.5, 0.5))

# By the names that `--preprocessing` knows.
PREPROCESSINGS = {
    "caffe": CAFFE_BGR,
    "caffe-alexnet": CAFFE_ALEXNET,
    "caffe-googlenet": CAFFE_GOOGLENET,
    "matconvnet": MATCONVNET,
    "torchvision": TORCHVISION,
    "half": HALF,
}
