"""The pictures that come with the package, a photograph and four paintings; `README.md` gives licences."""

from __future__ import annotations

from pathlib import Path

CONTENT = "china.jpg"
STYLES = ("flow.jpg", "glass.jpg", "mosaic.jpg", "woodcut.jpg")
DEFAULT_STYLE = "flow.jpg"


def sample_path(name: str) -> Path:
    """Return where a bundled picture is.

    Parameters
    ----------
    name : str
        One of `CONTENT` and `STYLES`, with or without its extension.

    Raises
    ------
    UsageError
        When there is no such picture.
    """
    for sample in (CONTENT, *STYLES):
        if name in (sample, Path(sample).stem):
            return Path(__file__).parent / sample

    # imported here: pictures are found without anything else of the package
    from nst_manual.errors import unknown_name

    raise unknown_name("sample", name, [Path(sample).stem for sample in (CONTENT, *STYLES)])
