"""docs/gallery.md: its commands are commands, and its pictures are there."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from nst_manual.cli import main
from nst_manual.figures import paint
from nst_manual.run import files

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ *nst-manual (.*)$", PAGE, re.MULTILINE)
PICTURES = re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE)


class Reached(Exception):
    """The command would paint now."""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split("-o ")[-1])
def test_its_commands_get_as_far_as_painting(command, monkeypatch, capfd):
    def reached(*given, **more):
        raise Reached

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(paint, "paint_plan", reached)
    monkeypatch.setattr(files, "paint", reached)
    assert main([*shlex.split(command), "--quiet"]) == 1
    assert "Reached" in capfd.readouterr().err


@pytest.mark.parametrize("picture", PICTURES)
def test_its_pictures_are_there_and_each_was_made_by_a_command_or_goes_into_one(picture):
    with Image.open(ROOT / "docs" / picture) as image:
        assert min(image.size) >= 100
    assert any(f"docs/{picture}" in command for command in COMMANDS)


def test_it_shows_all_that_it_makes():
    made = [command.split("-o docs/")[-1].split()[0] for command in COMMANDS]
    assert set(made) <= set(PICTURES)
    assert len(COMMANDS) >= 9
