"""From the tensors in a file to the layers of a network: which is which, and into our form.

    found = find_sources(file, archive, "vgg19", shapes)      nothing read yet, all shapes are right
    kernel, bias = found.read("conv1_1", dtype)               kernel (kh, kw, in / groups, out)

First by the names (`nst_manual.store.naming`); where none is known, by the order of the operations, if the
file has a graph. Kernels (out, in, kh, kw) are turned, matrices too; the rows of the first matrix stand for
(C, H, W) in PyTorch and Caffe, which flatten so, and for (H, W, C) here. Batch normalisation is folded into
the convolution before it (`nst_manual.kernels.batch_norm`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.kernels import batch_norm
from nst_manual.nets import NETWORKS, Network, rows
from nst_manual.nets.geometry import layers as geometry
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.nets.preprocessing import Preprocessing
from nst_manual.store.archive import Archive, Node
from nst_manual.store.form import Shapes, check_finite, check_layers, check_shape
from nst_manual.store.naming import MANNERS, Manner, Source, Sources, weighted


@dataclass(frozen=True)
class Found:
    """The layers of a network in a file that is open.

    Attributes
    ----------
    file : str
    archive : Archive
    sources : dict of str to Source
        Of the layers wanted.
    matrices : frozenset of str
        Those of them that are matrices here, whatever they are in the file.
    flattened : dict of str to (int, int, int)
        The matrix behind `flatten` -> the features (H, W, C) that it reads.
    preprocessing : Preprocessing or None
        What files that name their layers so expect of their input.
    words : str
        Why, for people.
    warnings : tuple of str
    """

    file: str
    archive: Archive
    sources: dict[str, Source]
    matrices: frozenset[str]
    flattened: dict[str, tuple[int, int, int]]
    preprocessing: Preprocessing | None
    words: str
    warnings: tuple[str, ...] = ()

    def shape(self, layer: str) -> tuple[int, ...]:
        """Return the shape of a layer's kernel or matrix in our form, from what the file declares."""
        return _our_shape(self.archive, self.sources[layer], layer in self.matrices)

    def read(self, layer: str, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel or matrix, and bias; raise `WeightsError` for values that are not finite."""
        source = self.sources[layer]
        tensors = [self.archive.tensors[name].read() for name in source.tensors]
        for name, array in zip(source.tensors, tensors, strict=True):
            part = (
                "weight"
                if name == source.weight
                else "bias"
                if name == source.bias
                else "batch normalisation"
            )
            check_finite(self.file, layer, part, array)
        weight = self._turned(layer, tensors[0])
        bias = tensors[1] if source.bias else np.zeros(weight.shape[-1], weight.dtype)
        if source.norm:
            weight, bias = self._folded(layer, weight, bias, tensors[-4:], source.epsilon)
        with np.errstate(over="ignore"):
            pair = tuple(np.ascontiguousarray(array, dtype=dtype) for array in (weight, bias))
        for part, array in zip(("weight", "bias"), pair, strict=True):
            check_finite(self.file, layer, part, array)  # float64 that float32 cannot hold is infinite now
        return pair

    def _turned(self, layer: str, weight: np.ndarray) -> np.ndarray:
        """Return a kernel (kh, kw, in / groups, out) or a matrix (in, out)."""
        if self.archive.axes == "OIHW" and weight.ndim == 4:
            weight = weight.transpose(2, 3, 1, 0)
        if self.archive.axes == "HWIO" or weight.ndim == 4:
            return weight.reshape(self.shape(layer))
        if layer in self.flattened:
            height, width, channels = self.flattened[layer]
            weight = weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(weight.shape)
        return weight.T

    def _folded(
        self, layer: str, weight: np.ndarray, bias: np.ndarray, norm: list[np.ndarray], epsilon: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel and bias that also normalise; in double precision, rounded once at the end."""
        weight, bias, *norm = (array.astype(float) for array in (weight, bias, *norm))
        if (norm[3] < 0).any():
            raise WeightsError(self.file, f"{layer} has a negative variance in its batch normalisation")
        return batch_norm.fold(weight, bias, *batch_norm.scale_and_shift(*norm, epsilon))


def find_sources(file: str, archive: Archive, network: str | Network, shapes: Shapes) -> Found:
    """Return where the layers in `shapes` stand in a file; all of them are there and of the right shape.

    Parameters
    ----------
    file : str
        For messages.
    archive : Archive
        Open.
    network : str or Network
    shapes : mapping
        Layer name -> (shape of the kernel or matrix, shape of the bias), in the order of the network.

    Raises
    ------
    WeightsError
        A layer is missing or has another shape; the layers are another network's.
    """
    table = network if isinstance(network, Network) else NETWORKS[network]
    table = NETWORKS.get(table.name, table)  # whole: rows are counted
    manner, found = _by_name(archive, table, shapes)
    warnings: list[str] = []
    if not found and archive.nodes:
        found = _by_order(file, archive, shapes)
        manner = None
        warnings.append(f"{file}: its layers have no names that are known; taken in the order of the file")
    looks = identify(archive)
    if shapes:
        kernels = {name: _our_shape(archive, source) for name, source in found.items()}
        check_layers(file, table.name, kernels, shapes, looks, _examples(archive))
    flattened = _flattened(table)
    for name, (kernel_shape, bias_shape) in shapes.items():
        _check_source(file, archive, name, found[name], kernel_shape, bias_shape)
        turn = archive.axes == "OIHW" and name in flattened
        if turn and math.prod(flattened[name]) != kernel_shape[0]:
            raise WeightsError(
                file, f"{name} reads {kernel_shape[0]} values, {table.name} gives {flattened[name]}"
            )
    sources = {name: found[name] for name in shapes}
    return _found(file, archive, table, sources, manner, tuple(warnings))


def _found(
    file: str,
    archive: Archive,
    table: Network,
    sources: dict[str, Source],
    manner: Manner | None,
    warnings: tuple[str, ...] = (),
) -> Found:
    preprocessing = manner.preprocessing(table) if manner else None
    words = f"its layers are named in {manner.name} manner" if manner else "its layers have no names"
    matrices = frozenset(row.name for row in weighted(table) if isinstance(row, rows.Linear))
    return Found(file, archive, sources, matrices, _flattened(table), preprocessing, words, warnings)


def identify(archive: Archive) -> list[str]:
    """Return the networks whose convolutions these may be; none where no network has all of its own there.

    Of several that fit, those with most layers: VGG-19 has every layer of VGG-16. Of these, those with most
    kernels of the same shape, then of the same size; and of these, the one that the file says.
    """
    best: tuple[int, int, int] = (0, 0, 0)
    names: list[str] = []
    for network in NETWORKS.values():
        shapes = parameter_shapes(network.without_top())
        rank = max(_rank(archive, manner.sources(network, archive.tensors), shapes) for manner in MANNERS)
        if rank == (0, 0, 0):
            rank = _rank_of_nodes(archive, shapes)
        if rank > best:
            best, names = rank, []
        if rank == best and rank[0]:
            names.append(network.name)
    return [archive.network] if archive.network in names else names


def _by_name(archive: Archive, table: Network, shapes: Shapes) -> tuple[Manner | None, dict[str, Source]]:
    """Return the manner in which most of the layers wanted are named, and their sources."""
    best: tuple[Manner | None, dict[str, Source]] = None, {}
    for manner in MANNERS:
        sources = manner.sources(table, archive.tensors)
        if manner is MANNERS[0]:  # a network that is not in the tables may have any names of its own
            sources = {name: [Source(f"{name}.weight", f"{name}.bias")] for name in shapes} | sources
        found = {name: source for name in shapes if (source := _there(archive, sources.get(name, [])))}
        if len(found) > len(best[1]):
            best = manner, found
    return best


def _there(archive: Archive, sources: list[Source]) -> Source | None:
    """Return the first source whose kernel is in the file."""
    return next((source for source in sources if source.weight in archive.tensors), None)


def _our_shape(archive: Archive, source: Source, matrix: bool = False) -> tuple[int, ...]:
    """Return the shape that a kernel or matrix has in our form.

    MatConvNet's matrices are kernels as large as the image, and so are those of networks made fully
    convolutional: of these, (H W C, out) is the `matrix`.
    """
    shape = archive.tensors[source.weight].shape
    if archive.axes == "OIHW" and len(shape) == 4:
        shape = (*shape[2:], shape[1], shape[0])
    elif archive.axes == "OIHW" and len(shape) == 2:
        shape = shape[::-1]
    return (math.prod(shape[:3]), shape[3]) if matrix and len(shape) == 4 else shape


def _check_source(
    file: str,
    archive: Archive,
    layer: str,
    source: Source,
    kernel_shape: tuple[int, ...],
    bias_shape: tuple[int, ...],
) -> None:
    """Raise `WeightsError` unless a layer's tensors are there, of the right shapes, and floats."""
    for name in source.tensors:
        if name not in archive.tensors:
            raise WeightsError(file, f"{layer} should have a kernel and a bias; there is no {name}")
        dtype = archive.tensors[name].dtype
        if dtype.kind != "f":
            raise WeightsError(file, f"{name} holds {dtype}, expected float16, float32 or float64")
    found = _our_shape(archive, source, len(kernel_shape) == 2)
    check_shape(file, layer, "weight", found, kernel_shape)
    for name in source.tensors[1:]:
        part = "bias" if name == source.bias else "batch normalisation"
        check_shape(file, layer, part, archive.tensors[name].shape, bias_shape)


def _flattened(table: Network) -> dict[str, tuple[int, int, int]]:
    """Return the first matrix behind `flatten` -> the shape (H, W, C) of what is flattened."""
    kinds = [type(row) for row in table.top]
    if rows.Flatten not in kinds or rows.Linear not in kinds:
        return {}
    found = geometry(table)
    features = next(layer.input_shape for layer in found if isinstance(layer.row, rows.Flatten))
    return {next(layer.name for layer in found if isinstance(layer.row, rows.Linear)): features}


def _by_order(file: str, archive: Archive, shapes: Shapes) -> dict[str, Source]:
    """Give the operations of a graph, in order, to the layers wanted, where every shape agrees."""
    found = {}
    for (name, (kernel_shape, _)), (kind, source) in zip(
        shapes.items(), _operations(archive.nodes), strict=False
    ):
        shape = _our_shape(archive, source)
        if shape != tuple(kernel_shape):
            raise WeightsError(
                file,
                f"its layers have no names that are known, and taken in order {kind} would be {name}, "
                f"of shape {shape}, expected {tuple(kernel_shape)}",
            )
        found[name] = source
    return found


def _operations(nodes: tuple[Node, ...]) -> list[tuple[str, Source]]:
    """Return what it is called in messages, and the source, of each operation.

    A batch normalisation belongs to the operation whose output it takes. Where it takes another, or that one
    has a normalisation already, it cannot be folded, and is an operation by itself, which fits no layer of
    ours.
    """
    found: list[tuple[str, Source]] = []
    places: dict[str, int] = {}
    for number, node in enumerate(nodes, start=1):
        weight, *others = node.tensors
        place = places.pop(node.behind, None) if node.op == "BatchNorm" else None
        if place is not None:
            words, before = found[place]
            found[place] = words, Source(before.weight, before.bias, node.tensors, node.epsilon)
            continue
        if node.op != "BatchNorm":
            places[node.name] = len(found)
        words = node.name or f"{node.op} number {number}"
        found.append((words, Source(weight, others[0] if others else None)))
    return found


def _rank(archive: Archive, sources: Sources, shapes: Shapes) -> tuple[int, int, int]:
    """Return (layers, kernels of the same shape, of the same size) where every layer is there, else zeros."""
    found = [(_there(archive, sources.get(name, [])), kernel) for name, (kernel, _) in shapes.items()]
    if any(source is None for source, _ in found):
        return 0, 0, 0
    kernels = [(_our_shape(archive, source), kernel) for source, kernel in found]
    same = sum(ours == tuple(kernel) for ours, kernel in kernels)
    return len(found), same, sum(ours[:2] == tuple(kernel[:2]) for ours, kernel in kernels)


def _rank_of_nodes(archive: Archive, shapes: Shapes) -> tuple[int, int, int]:
    """Return the same of a graph without names: the convolutions, in order, are exactly the network's."""
    kernels = [_our_shape(archive, source) for _, source in _operations(archive.nodes)]
    wanted = [tuple(kernel) for kernel, _ in shapes.values()]
    fits = kernels[: len(wanted)] == wanted
    return (len(wanted), len(wanted), len(wanted)) if wanted and fits else (0, 0, 0)


def _examples(archive: Archive) -> str:
    names = list(archive.tensors)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def described(file: str, archive: Archive) -> Found:
    """Return a file's layers, unchecked: of the network that it looks like, or as it names them."""
    looks = identify(archive)
    if looks:
        table = NETWORKS[looks[0]]
        shapes = parameter_shapes(table)
        manner, found = _by_name(archive, table, shapes)
        if not found:
            pairs = zip(shapes, _operations(archive.nodes), strict=False)
            found = {layer: source for layer, (_, source) in pairs}
        return _found(file, archive, table, found, manner)
    found = {}
    for name, tensor in archive.tensors.items():
        base, _, part = name.rpartition(".")
        if part == "weight" and len(tensor.shape) > 1:
            bias = f"{base}.bias"
            found[base] = Source(name, bias if bias in archive.tensors else None)
    return _found(file, archive, Network("", (), ()), found, MANNERS[0])
