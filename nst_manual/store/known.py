"""The weight files that are known: where they are, their checksums, licences, and what input they expect."""

from __future__ import annotations

from dataclasses import dataclass

from nst_manual.nets.preprocessing import (
    CAFFE_ALEXNET,
    CAFFE_BGR,
    CAFFE_GOOGLENET,
    HALF,
    MATCONVNET,
    TORCHVISION,
    Preprocessing,
)

# Hexadecimal digits of a whole sum.
DIGITS = {"md5": 32, "sha1": 40, "sha256": 64}


@dataclass(frozen=True)
class Known:
    """A file that can be downloaded.

    Attributes
    ----------
    name : str
        What `nst-manual weights get` calls it.
    network : str
    top : bool
        Whether the classifier is in it: fc6, fc7, fc8 of VGG and AlexNet.
    url : str
        Plain http only where the checksum is whole: then it is as good as https.
    checksum : str
        "md5:...", "sha1:..." or "sha256:..."; of SHA-256 the first 8 digits or more will do where there are
        no more to be had: PyTorch's way is to publish those 8, in the file's name. They are 32 bits, which
        hardly any accident gets past but a forger easily does.
    size : int
        Bytes, for display, and rounded where nobody says; the checksum is what counts.
    licence : str
        Of the weights, as far as it is stated.
    preprocessing : Preprocessing
    """

    name: str
    network: str
    top: bool
    url: str
    checksum: str
    size: int
    licence: str = "CC BY 4.0, K. Simonyan and A. Zisserman"
    preprocessing: Preprocessing = CAFFE_BGR

    @property
    def file(self) -> str:
        """The file's name, in the cache as well."""
        return self.url.rsplit("/", 1)[1]

    @property
    def whole(self) -> bool:
        """Whether all digits of the checksum are known."""
        algorithm, _, digits = self.checksum.partition(":")
        return len(digits) == DIGITS[algorithm]


_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_JOHNSON = "https://web.eecs.umich.edu/~justincj/models"
_TORCH = "https://download.pytorch.org/models"
_CAFFE = "http://dl.caffe.berkeleyvision.org"
# Where the ONNX model zoo is since it left GitHub: each file in a repository that is called like it.
_ONNX = "https://huggingface.co/onnxmodelzoo"

# torchvision's licence is for its code; of the weights it says that they "may have their own licenses or
# terms and conditions derived from the dataset used for training".
_UNSTATED = "not stated; torchvision's code is under BSD 3-clause"
_BVLC = "unrestricted use, BVLC"

# Of each network the file that comes first is the one taken when several are there. Keras's are the smallest;
# Oxford's own weights, which Keras, J. Johnson, MatConvNet and Caffe2 only converted, are those of the style
# transfer papers; torchvision and MXNet trained theirs from scratch.
#
# Of PyTorch's files, four have the whole sum here: many who have the file agree on it, and it begins with the
# digits in the file's name. Of the others those digits are all there is.
#
# Not here, for who made them published no sums, so that nobody could tell a whole download from a cut or
# altered one: VGG_ILSVRC_19_layers.caffemodel (Oxford's original), vgg_normalised.caffemodel and vgg_conv.pth
# (L. Gatys). They are read as any file that a user names.
KNOWN = {
    known.name: known
    for known in (
        Known(
            "vgg19",
            "vgg19",
            False,
            f"{_KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:253f8cb515780f3b799900260a226db6",
            80_134_624,
        ),
        Known(
            "vgg19-top",
            "vgg19",
            True,
            f"{_KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels.h5",
            "md5:cbe5617147190e668d6c5d5026f83318",
            574_710_816,
        ),
        Known(
            "vgg16",
            "vgg16",
            False,
            f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:6d6bbae143d832006294945121d1f1fc",
            58_889_256,
        ),
        Known(
            "vgg16-top",
            "vgg16",
            True,
            f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            "md5:64373286793e3c8b2b4e3219cbf3544b",
            553_467_096,
        ),
        Known(
            "vgg19-jcjohnson",
            "vgg19",
            True,
            f"{_JOHNSON}/vgg19-d01eb7cb.pth",
            "sha256:d01eb7cb",
            574_700_000,
        ),
        Known(
            "vgg16-jcjohnson",
            "vgg16",
            True,
            f"{_JOHNSON}/vgg16-00b39a1b.pth",
            "sha256:00b39a1b",
            553_400_000,
        ),
        # The later file of the same name, outside beta16, has another layout and another sum.
        Known(
            "vgg19-matconvnet",
            "vgg19",
            True,
            "https://www.vlfeat.org/matconvnet/models/beta16/imagenet-vgg-verydeep-19.mat",
            "md5:8ee3263992981a1d26e73b3ca028a123",
            535_000_000,
            preprocessing=MATCONVNET,
        ),
        Known(
            "vgg19-onnx",
            "vgg19",
            True,
            f"{_ONNX}/vgg19-caffe2-9/resolve/main/vgg19-caffe2-9.onnx",
            "sha256:cfb97260b303ad3963999662456571b89c5f73dbdd2fd9dffd19fed7a90f766b",
            574_674_712,
            "Apache-2.0, ONNX model zoo; weights CC BY 4.0, K. Simonyan and A. Zisserman",
        ),
        Known(
            "vgg19-torchvision",
            "vgg19",
            True,
            f"{_TORCH}/vgg19-dcbb9e9d.pth",
            "sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
            574_673_361,
            _UNSTATED,
            TORCHVISION,
        ),
        Known(
            "vgg16-torchvision",
            "vgg16",
            True,
            f"{_TORCH}/vgg16-397923af.pth",
            "sha256:397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            553_433_881,
            _UNSTATED,
            TORCHVISION,
        ),
        Known(
            "vgg16-onnx",
            "vgg16",
            True,
            f"{_ONNX}/vgg16-7/resolve/main/vgg16-7.onnx",
            "sha256:f20805a3ecccaa88647bbab4ad011ff2412a9838485ea844de0fcbce349820b9",
            553_437_328,
            "Apache-2.0, ONNX model zoo",
            TORCHVISION,
        ),
        Known(
            "alexnet",
            "alexnet",
            True,
            f"{_TORCH}/alexnet-owt-7be5be79.pth",
            "sha256:7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            244_408_911,
            _UNSTATED,
            TORCHVISION,
        ),
        Known(
            "alexnet-caffe",
            "alexnet-caffe",
            True,
            f"{_CAFFE}/bvlc_alexnet.caffemodel",
            "sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377",
            243_900_000,
            _BVLC,
            CAFFE_ALEXNET,
        ),
        Known(
            "alexnet-caffe-onnx",
            "alexnet-caffe",
            True,
            f"{_ONNX}/bvlcalexnet-9/resolve/main/bvlcalexnet-9.onnx",
            "sha256:ef3c82dad5c512f969dbf701fe35c0b3feb1585687d541f765eb68730c0a8af7",
            243_863_542,
            "BSD 3-clause, ONNX model zoo; weights for unrestricted use, BVLC",
            CAFFE_ALEXNET,
        ),
        Known(
            "googlenet",
            "googlenet",
            True,
            f"{_TORCH}/googlenet-1378be20.pth",
            "sha256:1378be20",
            52_100_000,
            _UNSTATED,
            HALF,
        ),
        Known(
            "googlenet-caffe",
            "googlenet-caffe",
            True,
            f"{_CAFFE}/bvlc_googlenet.caffemodel",
            "sha1:405fc5acd08a3bb12de8ee5e23a96bec22f08204",
            53_533_754,
            _BVLC,
            CAFFE_GOOGLENET,
        ),
        Known(
            "squeezenet",
            "squeezenet",
            True,
            f"{_TORCH}/squeezenet1_1-b8a52dc0.pth",
            "sha256:b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
            4_958_839,
            _UNSTATED,
            TORCHVISION,
        ),
        # The sum in the zoo's manifest; an earlier file of this name has 9,165,684 bytes and 9456373b...
        Known(
            "squeezenet-onnx",
            "squeezenet",
            True,
            f"{_ONNX}/squeezenet1.1-7/resolve/main/squeezenet1.1-7.onnx",
            "sha256:1eeff551a67ae8d565ca33b572fc4b66e3ef357b0eb2863bb9ff47a918cc4088",
            4_956_208,
            "Apache-2.0, ONNX model zoo",
            TORCHVISION,
        ),
    )
}
