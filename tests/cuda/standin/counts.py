"""What the stand-in for CuPy counts."""

from __future__ import annotations


class Counts:
    """How often the program waited for the GPU, and what went over the bus.

    Attributes
    ----------
    to_host, to_device : int
        Transfers from the GPU, and to it.
    bytes_to_host, bytes_to_device : int
        Their bytes.
    synchronisations : int
        How often the program waited until the GPU was done. A transfer to the host is one of them.
    launches : int
        Kernels and array operations that were started.
    """

    __slots__ = ("bytes_to_device", "bytes_to_host", "launches", "synchronisations", "to_device", "to_host")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Set all of them to zero."""
        for name in self.__slots__:
            setattr(self, name, 0)

    def sent(self, nbytes: int) -> None:
        """Count a transfer to the GPU."""
        self.to_device += 1
        self.bytes_to_device += nbytes

    def fetched(self, nbytes: int) -> None:
        """Count a transfer to the host, which waits."""
        self.to_host += 1
        self.bytes_to_host += nbytes
        self.synchronisations += 1

    def __repr__(self) -> str:
        return "Counts(" + ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__) + ")"


counts = Counts()
