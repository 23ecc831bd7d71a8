"""Pretrained weights: find, download, check and read them.

    weights = load_weights(None, "vgg16", {"conv1_1": ((3, 3, 3, 64), (64,)), ...})
    kernel, bias = weights.arrays["conv1_1"]

Whatever the file's layout, what comes out has one form (`Weights`): kernels (kh, kw, in / groups, out),
matrices (in, out), layers called as in `nst_manual.nets`, and the preprocessing that the network was trained
with.
"""

from __future__ import annotations

from nst_manual.nets.preprocessing import CAFFE_BGR, Preprocessing
from nst_manual.store.check import check_weights
from nst_manual.store.convert import convert_weights
from nst_manual.store.find import cache_folder, default_network, find_weights, list_weights
from nst_manual.store.form import Weights
from nst_manual.store.get import get_weights, known_file
from nst_manual.store.load import load_weights

__all__ = [
    "CAFFE_BGR",
    "Preprocessing",
    "Weights",
    "cache_folder",
    "check_weights",
    "convert_weights",
    "default_network",
    "find_weights",
    "get_weights",
    "known_file",
    "list_weights",
    "load_weights",
]
