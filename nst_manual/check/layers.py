"""A network row by row, ours and those of other frameworks, for `nst_manual.check.compare`.

Each is a list of rows of which one asks

    y, pullback = layers.run(index, x)         x, y (1, H, W, C)
    (dx,) = pullback(dy)                       dy shaped as y, dx as x

in NumPy arrays, so that any row can be given any input and any upstream gradient: those of its own network,
or those of another. Row 0 is the preprocessing of pixels, the others are the rows of the table, those in
branches included. A row that joins branches takes the output of each, and gives a dx for each; `wiring` says
whose they are.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from nst_manual.check.jax_network import JaxNetwork, import_jax, precision
from nst_manual.check.torch_network import TorchNetwork, import_torch
from nst_manual.config import ObjectiveConfig
from nst_manual.nets import Network, get_network
from nst_manual.nets.rows import Concat as Join
from nst_manual.nets.rows import Row, steps
from nst_manual.nn import Concat, MaxPool2d, Module, ReLU, Sequential, build, configured_weights
from nst_manual.store import default_network
from nst_manual.threads import available_cpus, thread_limit

PREPROCESS = "preprocess"
Pullback = Callable[[np.ndarray], tuple[np.ndarray, ...]]


class Layers(Protocol):
    """A network that runs row by row."""

    names: list[str]
    note: str

    def run(self, index: int, *inputs: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """Return the output of a row, and the function from dy to the dx of each input."""

    def session(self, threads: int | None) -> AbstractContextManager:
        """Return the context in which rows are run."""


def network_of(config: ObjectiveConfig) -> Network:
    """Return the table of a configuration, without its classifier: no loss stands there."""
    return get_network(config.network or default_network()[0]).without_top()


def rows_of(config: ObjectiveConfig) -> list[Row]:
    """Return the rows of its network, branches included, in the order in which they run."""
    return [step.row for step in steps(network_of(config).rows)]


def wiring(config: ObjectiveConfig) -> list[tuple[int, ...]]:
    """Return which values each row reads: value 0 is the image, value i + 1 the output of row i."""
    return [(0,), *(tuple(i + 1 for i in step.inputs) for step in steps(network_of(config).rows))]


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
        self.names = [PREPROCESS, *(row.name for row in rows_of(config))]
        self.choices: dict[int, np.ndarray] = {}

    def module(self, index: int) -> Module:
        """Return the module of a row."""
        return self.network[self.names[index]]

    def run(self, index: int, *inputs: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """Return the output of a row, and the function from dy to dx; it holds until the row runs again."""
        module = self.module(index)
        if isinstance(module, Concat):
            return _join(inputs)
        (x,) = inputs
        y = module.forward(x)
        if isinstance(module, ReLU):
            self.choices[index] = y > 0
        elif isinstance(module, MaxPool2d):
            self.choices[index] = np.array(module.winner)
        return y, lambda dy: (module.backward(x, dy),)

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape behind the last row, for images (N, H, W, 3)."""
        return self.network.output_shape(x_shape)

    def session(self, threads: int | None) -> AbstractContextManager:
        """Return the context with that many threads."""
        return thread_limit(threads)


def build_ours(config: ObjectiveConfig) -> tuple[Sequential, str]:
    """Return all rows of our network behind the preprocessing of the preset, and which weights it has."""
    network = network_of(config)
    weights = configured_weights(config, network)
    built = build(network, weights, config.chosen("pooling"), None, config.dtype, config.algorithm)
    return built, f"{network.name}, weights {weights.source}"


def _join(ends: tuple[np.ndarray, ...]) -> tuple[np.ndarray, Pullback]:
    """Join the outputs of branches alone: our module runs the branches too (the objective has it whole)."""
    borders = np.cumsum([end.shape[-1] for end in ends])[:-1]
    return np.concatenate(ends, -1), lambda dy: tuple(map(np.ascontiguousarray, np.split(dy, borders, -1)))


class TorchLayers:
    """`TorchNetwork`, each row differentiated by autograd."""

    def __init__(self, config: ObjectiveConfig) -> None:
        self.network = TorchNetwork(config, "nchw", [network_of(config).rows[-1].name])
        self.rows = rows_of(config)
        self.names = [PREPROCESS, *(row.name for row in self.rows)]
        self.note = self.network.note

    def run(self, index: int, *inputs: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """Return the output of a row, and the function from dy to the dx of each input."""
        network = self.network
        leaves = [network.tensor(x).requires_grad_() for x in inputs]
        if not index:
            y = network.preprocess(*leaves)
        elif isinstance(self.rows[index - 1], Join):
            y = network.join(leaves)
        else:
            y = network.apply(self.rows[index - 1], *leaves)

        def pullback(dy: np.ndarray) -> tuple[np.ndarray, ...]:
            return tuple(map(_channels_last, network.torch.autograd.grad(y, leaves, network.tensor(dy))))

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
        self.rows = rows_of(config)
        self.names = [PREPROCESS, *(row.name for row in self.rows)]
        self.note = self.network.note

    def run(self, index: int, *inputs: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """Return the output of a row, and the function from dy to the dx of each input."""
        network = self.network

        def row(*inputs: Any) -> Any:
            if not index:
                return network.preprocess(*inputs)
            if isinstance(self.rows[index - 1], Join):
                return network.join(inputs)
            return network.apply(self.rows[index - 1], *inputs, network.parameters)

        with precision(network.dtype):
            y, vjp = import_jax().vjp(row, *inputs)
            output = np.array(y)

        def pullback(dy: np.ndarray) -> tuple[np.ndarray, ...]:
            with precision(network.dtype):
                return tuple(map(np.array, vjp(dy)))

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
    inputs : list of tuple of int
        Which values each row reads (`wiring`).
    values : list of array
        The image, and the output of each row: row i makes values[i + 1].
    gradients : list of array
        With respect to each of `values`: row i is given gradients[i + 1].
    pulled : list of tuple of array
        What each row made of that: a dx for each of its inputs. Where several rows read a value, its gradient
        is the sum of theirs.
    """

    inputs: list[tuple[int, ...]]
    values: list[np.ndarray]
    gradients: list[np.ndarray] = field(default_factory=list)
    pulled: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def read(self, index: int) -> list[np.ndarray]:
        """Return the values that a row reads."""
        return [self.values[value] for value in self.inputs[index]]


def run_chain(layers: Layers, inputs: list[tuple[int, ...]], image: np.ndarray, dy: np.ndarray) -> Chain:
    """Return the values and gradients of a network, each row fed by its neighbours of the same network.

    Parameters
    ----------
    layers : Layers
    inputs : list of tuple of int
        Which values each row reads.
    image : array (1, H, W, 3)
    dy : array
        Upstream gradient of the last row.
    """
    chain, pullbacks = Chain(inputs, [image]), []
    for index in range(len(layers.names)):
        y, pullback = layers.run(index, *chain.read(index))
        chain.values.append(y)
        pullbacks.append(pullback)
    gradients: dict[int, np.ndarray] = {len(pullbacks): dy}
    for index in reversed(range(len(pullbacks))):
        # what a row keeps for its way back goes with it
        dxs = pullbacks.pop()(gradients[index + 1])
        chain.pulled.append(dxs)
        for value, dx in zip(inputs[index], dxs, strict=True):
            gradients[value] = gradients[value] + dx if value in gradients else dx
    chain.pulled.reverse()
    chain.gradients = [gradients[value] for value in range(len(gradients))]
    return chain
