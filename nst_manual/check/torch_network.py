"""A network of the tables in PyTorch: frozen weights, and features of an image at the layers asked for."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np

from nst_manual.config import ObjectiveConfig
from nst_manual.errors import UsageError
from nst_manual.nets import get_network, rows
from nst_manual.nn import configured_weights
from nst_manual.store import default_network


def import_torch() -> Any:
    """Return the module `torch`; raise `UsageError` where it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise UsageError("torch", "PyTorch is not installed", "pip install torch") from error
    return torch


def torch_device(name: str, tf32: bool = False) -> Any:
    """Return PyTorch's device for "cpu", "cuda" or "auto"; raise `UsageError` where it has none.

    For a GPU, the switches of the whole process are set: whether float32 products and convolutions may round
    their factors to TF32, and that cuDNN tries its algorithms and keeps the fastest.
    """
    torch = import_torch()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise UsageError("torch", "PyTorch finds no GPU", "install one that was built for CUDA")
        set_switches(torch, tf32)
    return torch.device(name)


def set_switches(torch: Any, tf32: bool) -> None:
    """Set what PyTorch does on a GPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of newer names, which older versions do not have
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True


class TorchNetwork:
    """A network up to the last of some layers.

    Parameters
    ----------
    config : ObjectiveConfig
        Network, weights, seed, pooling, dtype, device, and the scale of pixels of its preset.
    variant : str
        One of `nst_manual.check.torch_objective.VARIANTS`.
    layers : list of str
        Whose outputs `features` returns.

    Attributes
    ----------
    dtype : torch.dtype
        Of images and losses.
    device : torch.device
        Where all tensors live.
    note : str
        Which weights were taken.
    """

    def __init__(self, config: ObjectiveConfig, variant: str, layers: list[str]) -> None:
        self.torch = torch = import_torch()
        self.layers = frozenset(layers)
        self.channels_last = variant == "channels-last"
        self.in_place = variant == "inplace"
        self.reduced = torch.bfloat16 if variant == "bfloat16" else None
        self.dtype = getattr(torch, config.dtype)
        self.device = torch_device(config.device, config.tf32)
        self.pooling = config.chosen("pooling")
        network = get_network(config.network or default_network()[0]).covering(layers)
        self.rows = network.rows
        weights = configured_weights(config, network)
        self.note = f"{network.name}, weights {weights.source}"
        self.parameters = {name: self._frozen(*arrays) for name, arrays in weights.arrays.items()}
        first = weights.preprocessing
        std = np.asarray(first.std)
        self.reverse = first.order == "BGR"
        self.factor = self._by_channel(first.scale / std)
        self.shift = self._by_channel(first.mean / std)

    def tensor(self, image: np.ndarray) -> Any:
        """Return an image (1, H, W, 3) as a tensor (1, 3, H, W) in the layout of the variant."""
        x = self.torch.tensor(image, dtype=self.dtype, device=self.device)  # a copy
        x = x.permute(0, 3, 1, 2)  # of channels last in memory
        return x if self.channels_last else x.contiguous()

    def preprocess(self, x: Any) -> Any:
        """Return what the weights expect of pixels (1, 3, H, W), RGB, 0..255."""
        return (x.flip(1) if self.reverse else x) * self.factor - self.shift

    def features(self, x: Any) -> dict[str, Any]:
        """Return layer name -> output (1, C, H, W), for a preprocessed image."""
        found = {}
        last: tuple[rows.Row | None, Any] = None, None  # the row before, and its output

        def apply(row: rows.Row, x: Any) -> Any:
            # a convolution needs its output for nothing once it has been rectified
            free = x is last[1] and isinstance(last[0], rows.Conv) and last[0].name not in self.layers
            return self.apply(row, x, in_place=self.in_place and free)

        # one context for the whole pass; the losses are outside, in the precision of the image
        with self.torch.autocast(self.device.type, self.reduced) if self.reduced else nullcontext():
            for row, y in rows.follow(self.rows, x, apply, lambda row, ends: self.join(ends)):
                last = row, y
                if row.name in self.layers:
                    found[row.name] = y
        return found

    def apply(self, row: rows.Row, x: Any, in_place: bool = False) -> Any:
        """Return the output of one row for x (N, C, H, W); a ReLU may write over its input `in_place`."""
        functional = self.torch.nn.functional
        match row:
            case rows.Conv():
                w, b = self.parameters[row.name]
                return functional.conv2d(x, w, b, row.stride, row.padding, row.dilation, row.groups)
            case rows.ReLU():
                return functional.relu(x, inplace=in_place)
            case rows.LRN():
                return functional.local_response_norm(x, row.size, row.alpha, row.beta, row.k)
            case rows.MaxPool():
                return self._pool(row, x)
        raise UsageError(row.name, f"{type(row).__name__} has no counterpart in PyTorch here")

    def join(self, ends: list[Any]) -> Any:
        """Return the outputs of branches (N, C, H, W), one behind the other in channels."""
        return self.torch.cat(ends, dim=1)

    def matrix(self, x: Any) -> Any:
        """Return features (1, C, H, W) as a matrix (C, M): a view in either layout, unless it is cast."""
        x = x.to(self.dtype)
        if self.channels_last:
            return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).t()
        return x.reshape(x.shape[1], -1)

    def _pool(self, row: rows.MaxPool, x: Any) -> Any:
        geometry = row.kernel_size, row.stride, row.padding
        functional = self.torch.nn.functional
        if self.pooling == "average":
            return functional.avg_pool2d(x, *geometry, ceil_mode=row.ceil_mode)
        return functional.max_pool2d(x, *geometry, ceil_mode=row.ceil_mode or self.pooling == "max-ceil")

    def _frozen(self, weight: np.ndarray, bias: np.ndarray) -> tuple[Any, Any]:
        """Return kernel (O, C / groups, kh, kw) and bias, without gradients.

        In bfloat16 they are cast here, once: autocast would do it in every call, since it keeps only casts of
        parameters that are trained.
        """
        torch = self.torch
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        dtype = self.reduced or self.dtype
        w, b = (torch.from_numpy(array).to(self.device, dtype) for array in (weight, bias))
        return w.permute(3, 2, 0, 1).contiguous(memory_format=layout), b

    def _by_channel(self, values: np.ndarray) -> Any:
        return self.torch.tensor(values, dtype=self.dtype, device=self.device)[:, None, None]
