"""Write the golden .npz files by NumPy.

python -m tools.weight_files.write_npz [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2] / "tests/store"))
import golden_arrays as golden


def main(folder: Path) -> None:
    print(f"numpy {np.__version__}")
    np.savez(folder / "layers.npz", **golden.layers())
    arrays = golden.kinds()
    arrays["big-endian"] = arrays["kind/f4"].astype(">f4")
    arrays["Fortran"] = np.asfortranarray(arrays["kind/f8"])
    np.savez_compressed(folder / "kinds.npz", **arrays, **golden.SAID)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else golden.FILES)
