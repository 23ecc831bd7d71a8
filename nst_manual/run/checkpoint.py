"""The file from which a run goes on: HDF5, with a checksum over all of it in front.

    header       512 bytes that HDF5 leaves to the user: "nst_manual checkpoint, format 1", "sha256 ..." of
                 the rest, and whether the picture has been saved at the end
    run          text (JSON): options, inputs and their sums, where it stands, seeds, versions
    history      text (JSON): a record an evaluation
    picture      (H, W, 3)     of the last iteration
    lowest       (H, W, 3)     of the lowest loss
    optimizer    group of arrays, numbers as attributes: what `Optimizer.state` returns
    kept         group of arrays (H, W, 3) of uint8: pictures that an observer needs to go on

There is no random state to keep: noise and random directions are drawn from the seed, which is an option.

The one before is kept beside it (`previous_of`) until the new one is whole, and read where that is damaged.
"""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nst_manual.atomic import replacing
from nst_manual.errors import OutputError, UsageError
from nst_manual.images.naming import shown
from nst_manual.store.checksum import digests

FORMAT = 1
_HEADER = 512  # bytes; the least that HDF5 allows
_MAGIC = b"nst_manual checkpoint, format "
_SAVED = "picture saved: "


@dataclass(frozen=True)
class Snapshot:
    """Where a scale stands after an iteration: all that the next one depends on.

    Attributes
    ----------
    iterations : int
        Done at this scale.
    picture : array (H, W, 3)
        Of the last iteration.
    lowest_loss : float
    lowest : array (H, W, 3)
        The picture with that loss.
    history : list of dict
        A record an evaluation at this scale, up to the last iteration.
    seconds : float
    progress : dict
        State of the early stop.
    optimizer : dict or None
        State of the optimiser; None before the first iteration, and of one that has none.
    message : str
        Why the optimiser has ended at this scale before its last iteration.
    """

    iterations: int
    picture: np.ndarray
    lowest_loss: float
    lowest: np.ndarray
    history: list[dict] = field(repr=False)
    seconds: float
    progress: dict[str, Any]
    optimizer: dict[str, Any] | None = field(repr=False)
    message: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """A snapshot, and of which run it is.

    Attributes
    ----------
    command : dict
        As JSON holds it; see `nst_manual.run.resume`.
    scale : int
        From 0, the coarsest.
    before : dict
        Of the scales before it: "iterations", "seconds", "history".
    snapshot : Snapshot
    kept : dict of str to array
        Pictures of observers.
    """

    command: dict[str, Any]
    scale: int
    before: dict[str, Any]
    snapshot: Snapshot
    kept: dict[str, np.ndarray] = field(default_factory=dict)


class DamagedError(UsageError):
    """A checkpoint that is cut, has another sum, or is none."""


def previous_of(path: str | os.PathLike[str]) -> Path:
    """Return where the checkpoint before the one at `path` is kept: run.h5 -> run.previous.h5."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write, and let the one that was there be the previous one.

    Raises
    ------
    OutputError
        It cannot be written; what was there is as it was.
    """
    with replacing(path, previous_of(path)) as temporary, open(temporary, "r+b", buffering=0) as file:
        _fill(_Checked(file), checkpoint)
        file.seek(_HEADER)
        sha256 = digests(file, ["sha256"])["sha256"]
        header = f"nst_manual checkpoint, format {FORMAT}\nsha256 {sha256}\n{_SAVED}0\n".encode("ascii")
        file.seek(0)
        _write(file, header.ljust(_HEADER, b"\0"))


def mark_saved(path: str | os.PathLike[str]) -> None:
    """Note in a checkpoint that the run's picture is there: a single byte, which is whole or not at all."""
    with open(path, "r+b", buffering=0) as file:
        header = file.read(_HEADER)
        if (at := header.find(_SAVED.encode("ascii"))) >= 0:
            file.seek(at + len(_SAVED))
            file.write(b"1")


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Raise `OutputError` where a new checkpoint would replace the work of another run, or another file."""
    unfinished = []
    for place in (Path(path), previous_of(path)):
        try:
            with open(place, "rb") as file:
                header = file.read(_HEADER)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OutputError(shown(place), f"cannot be read, {error.strerror or error}") from error
        if not header.startswith(_MAGIC):
            raise OutputError(shown(place), "exists, and is no checkpoint", "--force replaces it")
        unfinished.append(f"{_SAVED}1".encode("ascii") not in header)
    if unfinished and unfinished[0]:
        hint = f"`nst-manual resume {shown(path)}` goes on with it, --force begins anew"
        raise OutputError(shown(path), "is the checkpoint of a run that has not ended", hint)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Return what a checkpoint holds.

    Raises
    ------
    DamagedError
        It is missing, no checkpoint, cut, changed, or of a format that this version does not know.
    """
    import h5py

    name = str(path)
    try:
        with open(path, "rb") as file:
            _verify(file, name)
            file.seek(0)
            with h5py.File(file, "r") as opened:
                return _read(opened)
    except DamagedError:
        raise
    except OSError as error:
        raise DamagedError(name, f"cannot be read, {error.strerror or error}") from error
    except (ArithmeticError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedError(name, f"is not a checkpoint as this version writes it, {error}") from error


def _fill(file: _Checked, checkpoint: Checkpoint) -> None:
    """Write all but the header."""
    import h5py

    snapshot = checkpoint.snapshot
    count = len(checkpoint.before["history"])
    about = {
        "command": checkpoint.command,
        "scale": checkpoint.scale,
        "before": {"iterations": checkpoint.before["iterations"], "evaluations": count}
        | {"seconds": checkpoint.before["seconds"]},
        "iterations": snapshot.iterations,
        "lowest_loss": snapshot.lowest_loss,
        "seconds": snapshot.seconds,
        "progress": snapshot.progress,
        "message": snapshot.message,
    }
    try:
        with h5py.File(file, "w", userblock_size=_HEADER, libver=("v110", "v110")) as opened:
            opened.create_dataset("run", data=_text(about))
            opened.create_dataset("history", data=_text([*checkpoint.before["history"], *snapshot.history]))
            opened.create_dataset("picture", data=snapshot.picture)
            opened.create_dataset("lowest", data=snapshot.lowest)
            for name, values in checkpoint.kept.items():
                opened.create_dataset(f"kept/{name}", data=values)
            if snapshot.optimizer is not None:
                group = opened.create_group("optimizer")
                for name, value in snapshot.optimizer.items():
                    if isinstance(value, np.ndarray):
                        group.create_dataset(name, data=value)
                    else:
                        group.attrs[name] = value
    finally:
        file.check()


def _read(opened: Any) -> Checkpoint:
    """Return what is in an open file."""
    about, history = (json.loads(_get(opened, name).tobytes()) for name in ("run", "history"))
    optimizer = None
    if "optimizer" in opened:
        group = opened["optimizer"]
        optimizer = {name: value.item() for name, value in group.attrs.items()}
        optimizer |= {name: _get(group, name) for name in group}
    count = int(about["before"]["evaluations"])
    kept = {name: _get(opened, f"kept/{name}") for name in opened.get("kept", ())}
    snapshot = Snapshot(
        iterations=int(about["iterations"]),
        picture=_get(opened, "picture"),
        lowest_loss=float(about["lowest_loss"]),
        lowest=_get(opened, "lowest"),
        history=history[count:],
        seconds=float(about["seconds"]),
        progress=dict(about["progress"]),
        optimizer=optimizer,
        message=str(about["message"]),
    )
    for picture in (snapshot.picture, snapshot.lowest):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype.kind != "f":
            raise ValueError(f"a picture has shape {picture.shape} and type {picture.dtype}")
    before = {"iterations": int(about["before"]["iterations"]), "history": history[:count]}
    before["seconds"] = float(about["before"]["seconds"])
    return Checkpoint(dict(about["command"]), int(about["scale"]), before, snapshot, kept)


def _get(group: Any, name: str) -> np.ndarray:
    """Return an array; raise `ValueError` unless it lies in the file as it was written."""
    found = group[name]
    plain = not found.is_virtual and found.external is None and found.chunks is None
    # what is not in the file would be made up, at whatever size is claimed
    if not plain or found.dtype.kind not in "fiu" or found.id.get_storage_size() != found.nbytes:
        raise ValueError(f"{name} is not stored as it should be")
    return found[()]


def _text(value: Any) -> np.ndarray:
    """Return JSON as bytes in an array."""
    return np.frombuffer(json.dumps(value).encode("utf-8"), np.uint8)


def _verify(file: Any, name: str) -> None:
    """Raise `DamagedError` unless the rest of the file is what its header says."""
    header = file.read(_HEADER)
    if not header:
        raise DamagedError(name, "is empty")
    found = re.match(rb"nst_manual checkpoint, format (\d{1,9})\nsha256 ([0-9a-f]{64})\n", header)
    if not found:
        raise DamagedError(name, "is not a checkpoint, or its beginning is damaged")
    if int(found[1]) != FORMAT:
        raise DamagedError(name, f"has format {int(found[1])}, this version knows {FORMAT}")
    if digests(file, ["sha256"])["sha256"] != found[2].decode("ascii"):
        raise DamagedError(name, "is truncated or damaged, its checksum does not agree")


def _write(file: Any, data: Any) -> None:
    """Write all of it: a write to a file without a buffer may take only a part."""
    left = memoryview(data).cast("B")
    while left:
        left = left[file.write(left) :]


class _Checked(io.RawIOBase):
    """A file for HDF5 that keeps the first error to itself, since the library does not survive one."""

    def __init__(self, file: Any) -> None:
        self.file, self.error = file, None

    def check(self) -> None:
        """Raise the error, if there was one."""
        if self.error is not None:
            raise self.error

    def write(self, data: Any) -> int:
        """Write all, or nothing any more after an error."""
        if self.error is None:
            try:
                _write(self.file, data)
            except OSError as error:
                self.error = error
        return len(data)

    def readinto(self, buffer: Any) -> int:
        """Read."""
        return self.file.readinto(buffer)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self.file.tell()

    def truncate(self, size: int | None = None) -> int:
        """Set the length."""
        if self.error is None:
            try:
                return self.file.truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def flush(self) -> None:
        """Do nothing: the file below has no buffer."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True
