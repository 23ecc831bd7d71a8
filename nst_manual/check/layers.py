"""A network row by row, ours and those of other frameworks, for `nst_manual.check.compare`.

Each is a list of rows of which one asks

    y, pullback = layers.run(index, x)         x, y (1, H, W, C)
    dx = pullback(dy)                          dy shaped as y, dx as x

in NumPy arrays, so that any row can be given any input and any upstream gradient: those of its own network,
or those of another. Row 0 is the preprocessing of pixels, the others are the rows of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from nst_manual.backend import available_cpus, thread_limit
from nst_manual.check.jax_network import JaxNetwork, import_jax, precision
from nst_manual.check.torch_network import TorchNetwork, import_torch
from nst_manual.config import ObjectiveConfig
from nst_manual.nets import Network, get_network
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.nn import MaxPool2d, ReLU, Sequential, build
from nst_manual.store import default_network, load_weights

PREPROCESS = "preprocess"
Pullback = Callable[[np.ndarray], np.ndarray]


class Layers(Protocol):
    """A network that runs row by row."""

    names: list[str]
    note: str

    def run(self, index: int, x: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """Return the output of a row, and the function from dy to dx."""

    def session(self, threads: int | None) -> AbstractContextManager:
        """Return the context in which rows are run."""


def network_of(config: ObjectiveConfig) -> Network:
    """Return the table of a configuration, without its classifier: no loss stands there."""
    return get_network(config.network or default_network()[0]).without_top()


class OurLayers:
    """The modules of `nst_manual.nn`, nothing fused.

    Parameters
    ----------
    config : ObjectiveConfig

    Attributes
    ----------
    network : Sequential
    choices : dict of int to array
        By row: what the last `run` chose where a row chooses, that is which values a ReLU lets through, and
        which position wins in each window of a max-pool.
    """

    def __init__(self, config: ObjectiveConfig) -> None:
        self.network, self.note = build_ours(config)
        self.names = self.network.names
        self.choices: dict[int, np.ndarray] = {}

    def run(self, index: int, x: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """Return the output of a row, and the function from dy to dx; it holds until the row runs again."""
        module = self.network[index]
        y = module.forward(x)
        if isinstance(module, ReLU):
            self.choices[index] = y > 0
        elif isinstance(module, MaxPool2d):
            self.choices[index] = np.array(module.winner)
        return y, lambda dy: module.backward(x, dy)

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape behind the last row, for images (N, H, W, 3)."""
        for module in self.network:
            x_shape = module.output_shape(x_shape)
        return x_shape

    def session(self, threads: int | None) -> AbstractContextManager:
        """Return the context with that many threads."""
        return thread_limit(threads)


def build_ours(config: ObjectiveConfig) -> tuple[Sequential, str]:
    """Return all rows of our network behind the preprocessing of the preset, and which weights it has."""
    network = network_of(config)
    weights = load_weights(config.weights, network.name, parameter_shapes(network), config.seed, config.dtype)
    scale = weights.preprocessing.scale * config.settings.pixel_scale
    preprocessing = replace(weights.preprocessing, scale=scale)
    pooling = config.chosen("pooling")
    built = build(network, weights, pooling, preprocessing, config.dtype, config.algorithm)
    return built, f"{network.name}, weights {weights.source}"


class TorchLayers:
    """`TorchNetwork`, each row differentiated by autograd."""

    def __init__(self, config: ObjectiveConfig) -> None:
        self.network = TorchNetwork(config, "nchw", [network_of(config).rows[-1].name])
        self.names = [PREPROCESS, *(row.name for row in self.network.rows)]
        self.note = self.network.note

    def run(self, index: int, x: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """Return the output of a row, and the function from dy to dx."""
        leaf = self.network.tensor(x).requires_grad_()
        y = self.network.apply(self.network.rows[index - 1], leaf) if index else self.network.preprocess(leaf)

        def pullback(dy: np.ndarray) -> np.ndarray:
            (dx,) = self.network.torch.autograd.grad(y, leaf, self.network.tensor(dy))
            return _channels_last(dx)

        return _channels_last(y.detach()), pullback

    @contextmanager
    def session(self, threads: int | None) -> Any:
        """Set PyTorch's threads inside the context."""
        torch = import_torch()
        before = torch.get_num_threads()
        torch.set_num_threads(threads or available_cpus())
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _channels_last(tensor: Any) -> np.ndarray:
    return np.ascontiguousarray(tensor.permute(0, 2, 3, 1).numpy())


class JaxLayers:
    """`JaxNetwork`, each row differentiated by `jax.vjp`.

    JAX has a pool of threads for the whole program, as many as there are processors; it cannot be changed.
    """

    def __init__(self, config: ObjectiveConfig) -> None:
        self.network = JaxNetwork(config, [network_of(config).rows[-1].name])
        self.names = [PREPROCESS, *(row.name for row in self.network.rows)]
        self.note = self.network.note

    def run(self, index: int, x: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """Return the output of a row, and the function from dy to dx."""
        network = self.network

        def row(x: Any) -> Any:
            if not index:
                return network.preprocess(x)
            return network.apply(network.rows[index - 1], network.parameters, x)

        with precision(network.dtype):
            y, vjp = import_jax().vjp(row, x)
            output = np.array(y)

        def pullback(dy: np.ndarray) -> np.ndarray:
            with precision(network.dtype):
                return np.array(vjp(dy)[0])

        return output, pullback

    def session(self, threads: int | None) -> AbstractContextManager:
        """Return a context that changes nothing."""
        return nullcontext()


FRAMEWORKS: dict[str, Callable[[ObjectiveConfig], Layers]] = {"torch": TorchLayers, "jax": JaxLayers}


@dataclass
class Chain:
    """What a pass through a whole network has left.

    Attributes
    ----------
    values : list of array
        The image, and the output of each row: row i reads values[i] and makes values[i + 1].
    gradients : list of array
        With respect to each of `values`: row i is given gradients[i + 1] and makes gradients[i].
    """

    values: list[np.ndarray]
    gradients: list[np.ndarray] = field(default_factory=list)


def run_chain(layers: Layers, image: np.ndarray, dy: np.ndarray) -> Chain:
    """Return the values and gradients of a network, each row fed by its neighbours of the same network.

    Parameters
    ----------
    layers : Layers
    image : array (1, H, W, 3)
    dy : array
        Upstream gradient of the last row.
    """
    chain, pullbacks = Chain([image]), []
    for index in range(len(layers.names)):
        y, pullback = layers.run(index, chain.values[-1])
        chain.values.append(y)
        pullbacks.append(pullback)
    chain.gradients = [dy]
    while pullbacks:  # what a row keeps for its way back goes with it
        chain.gradients.append(pullbacks.pop()(chain.gradients[-1]))
    chain.gradients.reverse()
    return chain
