"""Where weight files are: the user's cache, then those that came with the package."""

from __future__ import annotations

import os
from pathlib import Path

from nst_manual.nets import NETWORKS
from nst_manual.store.known import KNOWN

# Of files that can be read. What is in a file, its content says; these only tell weights in the cache from
# what else may lie there.
EXTENSIONS = (".h5", ".hdf5", ".pth", ".pt", ".caffemodel", ".mat", ".onnx", ".safetensors", ".npz")


# What `weights/README.md` says at length.
BUNDLED_LICENCES = {
    "vgg16.h5": "CC BY 4.0, K. Simonyan and A. Zisserman",
    "squeezenet.h5": "BSD 2-clause, F. Iandola et al.",
}


def cache_folder() -> Path:
    """Return the folder for downloaded weights, which need not exist.

    It is `weights` in the user's cache folder for this program; the environment variable NST_MANUAL_CACHE
    replaces the part before `weights`.
    """
    if base := os.environ.get("NST_MANUAL_CACHE"):
        return Path(base) / "weights"
    try:
        import platformdirs
    except ImportError:  # a plain copy of the tree, where nothing was installed for it
        return Path.home() / ".cache" / "nst_manual" / "weights"
    return Path(platformdirs.user_cache_dir("nst_manual", appauthor=False)) / "weights"


def bundled_folder() -> Path | None:
    """Return the folder of the bundled weights: in the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "weights", package.parent / "weights"):
        if (folder / "SHA256SUMS").is_file():
            return folder
    return None


def bundled_sums() -> dict[str, str]:
    """Return file name -> SHA-256 of the bundled files, as `weights/SHA256SUMS` has them."""
    folder = bundled_folder()
    try:
        lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines() if folder else []
    except (OSError, UnicodeDecodeError):
        lines = []
    pairs = (line.split(maxsplit=1) for line in lines if line.strip())
    return {pair[1].lstrip("*"): pair[0].lower() for pair in pairs if len(pair) == 2}


def find_weights(network: str, top: bool = False) -> Path | None:
    """Return the file that is taken for a network when the user names none, or None.

    Parameters
    ----------
    network : str
        Its name.
    top : bool
        Whether the classifier's layers are wanted too: then only files that have them count.

    Returns
    -------
    pathlib.Path or None
        In the cache a published file, the first in the order of `KNOWN`, or `NETWORK.h5`, which is what
        `nst-manual weights convert` writes; else the bundled one.
    """
    cache = cache_folder()
    candidates = [
        cache / known.file for known in KNOWN.values() if known.network == network and known.top >= top
    ]
    candidates.append(cache / f"{network}.h5")
    # No bundled file has a classifier.
    if not top and (bundled := bundled_folder()):
        candidates.append(bundled / f"{network}.h5")
    return next((path for path in candidates if os.path.isfile(path)), None)


def default_network() -> tuple[str, str]:
    """Return the default network, and a line that says which it is, why, and how to get the other.

    VGG-19 is the paper's; it is taken where its weights are installed. VGG-16's come with the package.
    """
    if path := find_weights("vgg19"):
        return "vgg19", f"vgg19, weights {path} (--network vgg16 takes the smaller one)"
    return "vgg16", (
        "vgg16, bundled weights; vgg19, the network of the paper, is not installed "
        "(`nst-manual weights get vgg19` fetches it, 80 MB)"
    )


def list_weights() -> list[dict]:
    """Return a row for each weight file that is bundled, known or in the cache.

    Returns
    -------
    list of dict
        `name` (for `weights get`), `network`, `file`, `status` ("bundled", "installed", "known"), `path`
        (None unless it is there), `size` in bytes, `url`, `checksum` ("md5:...", "sha1:..." or "sha256:...",
        of which the last digits may be missing), `licence`; None where unknown.
    """
    rows = []
    folder = bundled_folder()
    for file, sha256 in bundled_sums().items():
        path = folder / file
        if os.path.isfile(path):
            network = path.stem
            rows.append(
                _row(
                    f"{network}-bundled",
                    network,
                    "bundled",
                    path,
                    checksum=f"sha256:{sha256}",
                    licence=BUNDLED_LICENCES.get(file),
                )
            )
    cache = cache_folder()
    for known in KNOWN.values():
        path = cache / known.file
        rows.append(
            _row(
                known.name,
                known.network,
                "installed" if os.path.isfile(path) else "known",
                path,
                size=known.size,
                url=known.url,
                checksum=known.checksum,
                licence=known.licence,
            )
        )
    published = {known.file for known in KNOWN.values()}
    for path in sorted(cache.glob("*")):
        if path.suffix.lower() in EXTENSIONS and path.name not in published and os.path.isfile(path):
            network = path.stem if path.stem in NETWORKS else None
            rows.append(_row(path.stem, network, "installed", path))
    return rows


def _row(
    name: str,
    network: str | None,
    status: str,
    path: Path,
    size: int | None = None,
    url: str | None = None,
    checksum: str | None = None,
    licence: str | None = None,
) -> dict:
    there = status != "known"
    return {
        "name": name,
        "network": network,
        "file": path.name,
        "status": status,
        "path": str(path) if there else None,
        "size": path.stat().st_size if there else size,
        "url": url,
        "checksum": checksum,
        "licence": licence,
    }
