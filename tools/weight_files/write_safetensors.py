"""Write the golden .safetensors files by the safetensors library (pip install safetensors ml_dtypes).

python -m tools.weight_files.write_safetensors [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

sys.path.append(str(Path(__file__).parents[2] / "tests/store"))
import golden_arrays as golden


def main(folder: Path) -> None:
    print(f"numpy {np.__version__}, safetensors {safetensors.__version__}, ml_dtypes {ml_dtypes.__version__}")
    torch_order = {
        name: np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array
        for name, array in golden.layers().items()
    }
    safetensors.numpy.save_file(torch_order, folder / "layers.safetensors", {"format": "pt"})
    said = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in golden.SAID.items()
    }
    safetensors.numpy.save_file(golden.kinds(), folder / "kinds.safetensors", said)
    halves = golden.rounded_to_bfloat16().astype(ml_dtypes.bfloat16)
    safetensors.numpy.save_file({"half": halves}, folder / "bfloat16.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else golden.FILES)
