"""The weight files that are known: where they are, their checksums, licences, and what input they expect."""

from __future__ import annotations

from dataclasses import dataclass

from nst_manual.store.form import CAFFE_BGR, Preprocessing


@dataclass(frozen=True)
class Known:
    """A file that can be downloaded.

    Attributes
    ----------
    name : str
        What `nst-manual weights get` calls it.
    network : str
    top : bool
        Whether the classifier (fc6, fc7, fc8) is in it.
    url : str
    checksum : str
        "md5:..." or "sha256:...", as its publishers print it.
    size : int
        Bytes, for display; the checksum is what counts.
    licence : str
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


_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"

# Of each network the small file comes first: it is the one taken when both are there and no classifier is
# wanted.
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
    )
}
