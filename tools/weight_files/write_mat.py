"""Write the golden .mat files by SciPy, in the structure of MatConvNet's published networks.

python -m tools.weight_files.write_mat [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import scipy
from scipy.io import savemat

sys.path.append(str(Path(__file__).parents[2] / "tests/store"))
import golden_arrays as golden


def cell(items: list) -> np.ndarray:
    """Return what SciPy writes as a cell array of one row."""
    row = np.empty((1, len(items)), object)
    row[0, :] = items
    return row


def network(old: bool) -> np.ndarray:
    """Return the cell array `layers`, with filters and biases or with weights."""
    arrays, items = golden.layers(), []
    for name in golden.LAYERS:
        # MATLAB drops axes of size 1 at the end, down to two.
        kernel = arrays[f"{name}.weight"]
        while kernel.ndim > 2 and kernel.shape[-1] == 1:
            kernel = kernel[..., 0]
        bias = arrays[f"{name}.bias"].reshape(1, -1)
        layer = {"type": "conv", "name": name, "stride": np.array([[1.0, 1.0]]), "pad": np.ones((1, 4))}
        layer |= {"filters": kernel, "biases": bias} if old else {"weights": cell([kernel, bias])}
        items += [layer, {"type": "relu", "name": f"relu{name[4:]}"}]
    pool = {"type": "pool", "name": "pool1", "method": "max", "pool": np.array([[2.0, 2.0]])}
    return cell([*items[:4], pool, *items[4:], {"type": "softmax", "name": "prob"}])


def main(folder: Path) -> None:
    print(f"numpy {np.__version__}, scipy {scipy.__version__}")
    classes = {"name": cell(["n01440764", "n01443537"]), "description": cell(["tench", "goldfish"])}
    colour = np.asarray(golden.MEAN_RGB, "f4").reshape(1, 1, 3)
    normalization = {"imageSize": np.array([[224.0, 224.0, 3.0]]), "averageImage": colour}
    new = {"layers": network(old=False), "meta": {"classes": classes, "normalization": normalization}}
    savemat(folder / "new.mat", new)
    savemat(folder / "new_packed.mat", new, do_compression=True)
    normalization = {"averageImage": golden.mean_image(), "imageSize": np.array([[4.0, 2.0, 3.0]])}
    old = {"layers": network(old=True), "classes": classes, "normalization": normalization}
    savemat(folder / "old.mat", old)
    savemat(folder / "old_packed.mat", old, do_compression=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else golden.FILES)
