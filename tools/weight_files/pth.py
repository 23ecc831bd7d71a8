"""Write the `.pth` files of the tests by PyTorch itself.

    python -m tools.weight_files.pth

They go to tests/store/files/; what is in them stands in tests/store/golden_pth.py. Needs torch; prints its
version.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "tests" / "store" / "files"
sys.path.insert(0, str(ROOT / "tests" / "store"))

import golden_pth  # noqa: E402


def state_dict() -> OrderedDict:
    """Return the state as a module's `state_dict` is: with `_metadata`."""
    state = OrderedDict((name, torch.from_numpy(array)) for name, array in golden_pth.state().items())
    state._metadata = OrderedDict({"": {"version": 1}, "features.1": {"version": 2}})
    return state


def kinds() -> dict[str, torch.Tensor]:
    """Return a tensor of each type, and views of a shared storage."""
    arrays = golden_pth.kinds()
    base = torch.from_numpy(golden_pth.base(arrays))
    views = {"transposed": base.T, "rows": base[2:4], "steps": base[1::2, ::2]}
    channels_last = torch.from_numpy(arrays["channels_last"]).contiguous(memory_format=torch.channels_last)
    tensors = {}
    for name, array in arrays.items():
        tensor = views.get(name, torch.from_numpy(array))
        tensors[name] = tensor.to(torch.bfloat16) if name == "bfloat16" else tensor
    return tensors | {"channels_last": channels_last, "mask": torch.tensor([True, False])}


def checkpoint() -> dict:
    """Return what a training script saves, from DataParallel: Parameters, an optimizer's tensors, numbers."""
    state = OrderedDict()
    for name, tensor in state_dict().items():
        state[f"module.{name}"] = torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor
    momentum = {
        "state": {0: {"momentum_buffer": torch.ones(4)}},
        "param_groups": [{"lr": 0.1, "params": [0]}],
    }
    return {
        "epoch": 90,
        "arch": "vgg",
        "best": torch.tensor(71.5),
        "state_dict": state,
        "optimizer": momentum,
        "size": torch.Size((1, 3)),
        "device": torch.device("cpu"),
    }


def main() -> None:
    """Write the files."""
    FILES.mkdir(exist_ok=True)
    print(f"torch {torch.__version__}, numpy {np.__version__}")
    for form, new in (("zip", True), ("legacy", False)):
        for name, make in (("state", state_dict), ("kinds", kinds), ("checkpoint", checkpoint)):
            path = FILES / f"{name}_{form}.pth"
            torch.save(make(), path, _use_new_zipfile_serialization=new)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")
    torch.save(state_dict(), FILES / "state_protocol4.pth", pickle_protocol=4)
    torch.serialization.set_crc32_options(False)
    torch.save(state_dict(), FILES / "state_unsummed.pth")


if __name__ == "__main__":
    main()
