"""The code in docs/tutorial.md runs, fails where it says so, and its pictures are pictures."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
TOLD = re.findall(r"^```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """The names after all blocks, what was printed, and the folder with the pictures."""
    import contextlib
    import io

    folder, names, printed = tmp_path_factory.mktemp("tutorial"), {}, io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        for number, block in enumerate(BLOCKS, start=1):
            exec(compile(block, f"tutorial.md, block {number}", "exec"), names)
    return names, printed.getvalue(), folder


def test_what_it_says_is_printed_is_printed(session):
    printed = session[1]
    for line in filter(None, "\n".join(TOLD).splitlines()):
        assert line.strip().split("  ")[-1] in printed, line


def test_the_corrected_layer_agrees_with_the_package(session):
    names, printed, _ = session
    assert names["report"].passed
    differences = re.findall(r"^(direct|matmul|winograd6?) (\S+)$", printed, re.MULTILINE)
    assert len(differences) == 4
    assert all(float(difference) < 1e-12 for _, difference in differences)


def test_the_picture_has_less_loss_than_the_photograph(session):
    names, _, folder = session
    assert names["painted_loss"] < names["loss"] / 5
    for name in ("gradient.png", "painted.png"):
        with Image.open(folder / name) as image:
            assert image.size == names["photograph"].shape[2:0:-1]
            assert np.asarray(image).std() > 10


def test_the_pictures_of_the_text_are_there():
    shown = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", TEXT)
    assert shown == ["tutorial/gradient.png", "tutorial/painted.png"]
    assert all((DOCS / name).stat().st_size > 1000 for name in shown)
