"""Networks as data: literal tables of rows, and what follows from them (shapes, costs, receptive fields)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nst_manual.errors import UsageError, unknown_name
from nst_manual.nets import alexnet, googlenet, rows, squeezenet, vgg
from nst_manual.nets.rows import Row


@dataclass(frozen=True)
class Network:
    """A network: its table, and the image size for which its classifier was made.

    Attributes
    ----------
    name : str
    rows : tuple of Row
    top : tuple of Row
        The classifier that follows `rows`, empty when it was left off.
    input_size : int
        Height and width in pixels for which the network was made.
    counterparts : dict of str to str
        The layers that stand for VGG's, which the presets name.
    """

    name: str
    rows: tuple[Row, ...]
    top: tuple[Row, ...]
    input_size: int = 224
    counterparts: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def all_rows(self) -> tuple[Row, ...]:
        """The rows with the classifier's behind them."""
        return self.rows + self.top

    @property
    def names(self) -> list[str]:
        """The names of all layers, those in branches included."""
        return [step.row.name for step in rows.steps(self.all_rows)]

    @property
    def fixed_size(self) -> bool:
        """Whether the classifier fits `input_size` alone: matrices do, a global average does not."""
        kinds = [type(row) for row in self.top]
        return rows.Linear in kinds and rows.GlobalAvgPool not in kinds

    def without_top(self) -> Network:
        """Return the network without its classifier: any image size fits."""
        return replace(self, top=())

    def upto(self, name: str) -> Network:
        """Return the network that ends with the layer `name`; of branches, with the one that leads there.

        Raises
        ------
        UsageError
            There is no layer of that name; the message lists those there are.
        """
        if (found := rows.upto(self.rows, name)) is not None:
            return replace(self, rows=found, top=())
        if (found := rows.upto(self.top, name)) is not None:
            return replace(self, top=found)
        raise unknown_name(f"layer of {self.name}", name, self.names)

    def covering(self, names: Iterable[str]) -> Network:
        """Return the network without its classifier, up to the last of some layers, branches whole.

        Without names, no row of it.

        Raises
        ------
        UsageError
            There is no layer of a name; the message lists those there are.
        """
        found = self.without_top()
        names = set(names)
        for name in sorted(names - set(found.names)):
            raise unknown_name(f"layer of {self.name}", name, found.names)
        return replace(found, rows=rows.covering(self.rows, names))


NETWORKS = {
    network.name: network
    for network in (
        Network("vgg11", vgg.features(vgg.A), vgg.TOP),
        Network("vgg13", vgg.features(vgg.B), vgg.TOP),
        Network("vgg16c", vgg.features(vgg.C), vgg.TOP),
        Network("vgg16", vgg.features(vgg.D), vgg.TOP),
        Network("vgg19", vgg.features(vgg.E), vgg.TOP),
        Network("alexnet", alexnet.ONE, alexnet.top(True), 224, alexnet.COUNTERPARTS),
        Network("alexnet-caffe", alexnet.CAFFE, alexnet.top(False), 227, alexnet.COUNTERPARTS),
        Network("googlenet", googlenet.NORMALISED, googlenet.top(0.2), 224, googlenet.COUNTERPARTS),
        Network("googlenet-caffe", googlenet.CAFFE, googlenet.top(0.4), 224, googlenet.COUNTERPARTS),
        Network("squeezenet", squeezenet.FEATURES, squeezenet.TOP, 224, squeezenet.COUNTERPARTS),
    )
}


def get_network(name: str | Network) -> Network:
    """Return the network of that name; a `Network` is returned as it is.

    Raises
    ------
    UsageError
        The name is unknown; the message suggests the nearest one.
    """
    if isinstance(name, Network):
        return name
    if not isinstance(name, str):
        raise UsageError("network", f"expected a name, got {type(name).__name__}")
    if name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS)
    return NETWORKS[name]
