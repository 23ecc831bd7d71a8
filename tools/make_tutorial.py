"""Run the code of docs/tutorial.md and put the pictures that it makes into docs/tutorial/.

    python tools/make_tutorial.py

What the code prints goes to the terminal; half a minute.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    """Run all blocks in the folder of the pictures."""
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    folder = DOCS / "tutorial"
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    names: dict = {}
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL), start=1
    ):
        exec(compile(block, f"tutorial.md, block {number}", "exec"), names)


if __name__ == "__main__":
    main()
