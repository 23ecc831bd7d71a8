"""What every reader of a weight file gives: named tensors, with shapes, none of them read yet.

A reader trusts nothing that the file declares: before it hands a `Tensor` out it has made sure that the bytes
of that shape are there, so that reading it allocates no more than the file holds. What the tensors are in a
network, `nst_manual.store.layouts` finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nst_manual.nets.preprocessing import Preprocessing


@dataclass(frozen=True)
class Tensor:
    """An array in a file.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        Of what `read` returns, in the machine's byte order; bfloat16 becomes float32.
    read : callable
        Returns the values, contiguous; raises `WeightsError` where the file is damaged.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Node:
    """An operation of a graph that has parameters.

    Attributes
    ----------
    op : str
        "Conv", "Linear" or "BatchNorm".
    tensors : tuple of str
        Names of its tensors, in the order of ONNX: weight, bias; scale, shift, mean, variance.
    name : str
    epsilon : float
        Of BatchNorm.
    behind : str
        Of BatchNorm: the name of the operation whose output it takes, where that is one of these.
    """

    op: str
    tensors: tuple[str, ...]
    name: str = ""
    epsilon: float = 1e-5
    behind: str = ""


@dataclass(frozen=True)
class Archive:
    """A weight file that is open.

    Attributes
    ----------
    format : str
        For people: "PyTorch (zip)".
    tensors : mapping of str to Tensor
        By the names in the file, in its order.
    axes : str
        Of the kernels: "OIHW" (PyTorch, Caffe, ONNX; matrices are (out, in)) or "HWIO" (Keras, MatConvNet;
        matrices are (in, out)); "?" where a format has both, and their shapes decide.
    nodes : tuple of Node
        The operations with parameters, in order, where the file has a graph.
    preprocessing : Preprocessing or None
        Where the file says what input it expects.
    convention : Preprocessing or None
        What all files of the format expect, where this one does not say it.
    network : str or None
        Where the file says its own.
    verified : bool
        Whether the file has checksums of its own, strong ones, for all that is read from it.
    warnings : tuple of str
    """

    format: str
    tensors: Mapping[str, Tensor]
    axes: str = "OIHW"
    nodes: tuple[Node, ...] = ()
    preprocessing: Preprocessing | None = None
    convention: Preprocessing | None = None
    network: str | None = None
    verified: bool = False
    warnings: tuple[str, ...] = field(default_factory=tuple)
