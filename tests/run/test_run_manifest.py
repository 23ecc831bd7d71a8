"""What a picture says of how it was made, and that it can be made again from it."""

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from smooth_pictures import smooth_picture

from nst_manual.cli import main
from nst_manual.config import command_config, run_config
from nst_manual.errors import ImageError
from nst_manual.images import read_image, read_metadata, save_image
from nst_manual.run.manifest import KEY, beside, introduction, parse_manifest, read_manifest

SMALL = ["--network", "squeezenet", "--size", "40", "--iterations", "2", "--quiet"]
PICTURES = ["folder/photo.png", "painting.png"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    save_image("folder/photo.png", smooth_picture(0, 30, 40))
    save_image("painting.png", smooth_picture(1, 40, 38))
    return tmp_path


def run(*arguments: str) -> int:
    return main(["run", *PICTURES, *SMALL, *arguments])


def manifest_of(path: str) -> dict:
    return json.loads(read_metadata(path)[KEY])


def same(one: str, other: str) -> None:
    np.testing.assert_array_equal(read_image(one), read_image(other))


def test_every_option_and_all_that_made_it_is_in_the_picture():
    more = ["--style-layers", "relu1:2,fire2", "--bounds", "none", "--tv-weight", "0.1", "--seed", "7"]
    assert run("-o", "out.png", *more) == 0
    found = manifest_of("out.png")
    assert (found["content"], found["styles"]) == ("photo.png", ["painting.png"])
    options = found["options"]
    assert options["size"] == 40
    assert options["seed"] == 7
    assert options["bounds"] == []
    assert options["style_layers"] == ["relu1:2.0", "fire2"]
    assert options["content_layers"] == ["fire7"]  # what stands for the preset's
    assert options["optimizer"] == "lbfgs"  # the preset's
    assert set(found["given"]) == {
        "network",
        "size",
        "iterations",
        "style_layers",
        "bounds",
        "tv_weight",
        "seed",
    }
    assert [record["name"] for record in found["files"]] == ["photo.png", "painting.png"]
    assert all(len(record["sha256"]) == 64 for record in found["files"])
    assert found["network"]["weights"] == "squeezenet.h5"
    assert set(found["versions"]) >= {"nst_manual", "python", "numpy", "scipy", "pillow", "h5py", "blas"}
    assert found["losses"]
    assert sum(found["losses"].values()) == pytest.approx(found["loss"])
    assert (found["iterations"], found["stopped"]) == (2, "")
    assert found["seconds"] > 0


def test_the_options_make_the_picture_again(folder):
    assert run("-o", "out.png", "--style-layers", "relu1:2,fire2", "--seed", "7", "--init", "noise") == 0
    options = manifest_of("out.png")["options"]
    lines = (f"{name} = {json.dumps(value)}" for name, value in options.items())
    (folder / "again.toml").write_text("\n".join(lines))
    assert main(["run", *PICTURES, "-o", "again.png", "--quiet", "--config", "again.toml"]) == 0
    same("again.png", "out.png")


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif", "bmp"])
def test_a_picture_is_made_again_from_what_it_says(extension, capfd):
    assert run("-o", f"out.{extension}", "--init", "noise", "--seed", "3") == 0
    assert beside(f"out.{extension}") is None or json.loads(beside(f"out.{extension}").read_text())
    assert main(["rerun", f"out.{extension}", "-o", "again.png"]) == 0
    printed = capfd.readouterr()
    assert "made again: every value is the same" in printed.err
    assert printed.out.strip() == "again.png"
    if extension in ("png", "tif", "bmp"):
        same("again.png", f"out.{extension}")


def test_masks_starts_and_weights_are_found_again_and_no_folder_is_told(folder):
    white = np.full((30, 40, 3), 255, np.uint8)
    for name in ("folder/mask.png", "folder/start.png"):
        save_image(name, white)
    shutil.copy(manifest_weights(), "folder/mine.h5")
    more = ["--style-masks", "folder/mask.png", "--init", "folder/start.png", "--weights", "folder/mine.h5"]
    assert run("-o", "out.png", *more) == 0
    text = read_metadata("out.png")[KEY]
    assert str(folder) not in text
    assert manifest_of("out.png")["given"]["init"] == "start.png"
    assert main(["rerun", "out.png", "--quiet"]) == 0
    same("out.png", "out-again.png")


def manifest_weights() -> str:
    from nst_manual.store import find_weights

    return str(find_weights("squeezenet"))


def test_files_that_have_moved_are_taken_from_the_command_line_or_from_the_pictures_folder(folder, capfd):
    assert run("-o", "out.png") == 0
    os.rename("folder", "elsewhere")
    assert main(["rerun", "out.png", "--quiet"]) == 3
    assert "content photo.png" in capfd.readouterr().err
    assert main(["rerun", "out.png", "elsewhere/photo.png", "--quiet"]) == 0
    same("out.png", "out-again.png")
    shutil.copy("elsewhere/photo.png", "photo.png")
    assert main(["rerun", "out.png", "-o", "third.png", "--quiet"]) == 0
    same("out.png", "third.png")


def test_a_file_that_has_been_changed_is_not_taken(capfd):
    assert run("-o", "out.png") == 0
    save_image("painting.png", smooth_picture(2, 40, 38))
    assert main(["rerun", "out.png"]) == 3
    assert "style 1 painting.png: has been changed" in capfd.readouterr().err
    assert not os.path.exists("out-again.png")


def test_pictures_on_the_way_and_of_stopped_runs_are_made_again(monkeypatch):
    from nst_manual.run import job

    scales = ["--size", "100", "--scales", "2", "--scale-factor", "1.4"]
    assert run("-o", "whole.png", "--save-every", "1", *scales) == 0
    for number in (1, 3):
        assert main(["rerun", f"whole-000{number}.png", "-o", "again.png", "--quiet"]) == 0
        same("again.png", f"whole-000{number}.png")

    seen = []

    def evaluate(self, x, before=job._Run.evaluate):
        seen.append(x)
        if len(seen) == 4:  # in the middle of an iteration of the first scale
            self.request.receive(15, None)
        return before(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(job._Run, "evaluate", evaluate)
        assert run("-o", "out.png", *scales) == 143
    found = manifest_of("out.png")
    assert found["stopped"] == "stopped: by SIGTERM"
    assert found["pixels"]["size"] == [75, 100]
    assert main(["rerun", "out.png", "-o", "again.png", "--quiet"]) == 0
    same("again.png", "out.png")


def test_what_differs_is_said(capfd):
    assert run("-o", "out.png") == 0
    found = manifest_of("out.png")
    found["given"]["seed"], found["given"]["init"] = 1, "noise"
    found["versions"]["numpy"] = "1.0 \x1b[31m"
    save_image("changed.png", read_image("out.png"), {KEY: json.dumps(found)})
    assert main(["rerun", "changed.png"]) == 0
    said = capfd.readouterr().err
    assert "not the same: " in said
    assert "% of the values differ, by at most" in said
    assert "numpy was 1.0 \\x1b[31m, is " in said
    pixels = read_image("out.png")
    pixels[3, 4] = 0
    save_image("edited.png", pixels, read_metadata("out.png"))
    assert main(["rerun", "edited.png"]) == 0
    said = capfd.readouterr().err
    assert "every value is the same" in said
    assert "edited.png has been edited since" in said


def test_other_weights_are_refused(capfd):
    assert run("-o", "out.png") == 0
    found = manifest_of("out.png")
    found["network"]["sha256"] = 64 * "0"
    save_image("other.png", read_image("out.png"), {KEY: json.dumps(found)})
    assert main(["rerun", "other.png"]) == 4
    assert "expected those of the run" in capfd.readouterr().err


def test_without_a_manifest_nothing_is_said(capfd):
    assert run("-o", "out.png", "--no-manifest") == 0
    assert run("-o", "out.jpg", "--no-manifest") == 0
    assert read_metadata("out.png") == {}
    assert read_metadata("out.jpg") == {}
    assert not os.path.exists("out.jpg.json")
    with Image.open("out.png") as image:
        assert "photo" not in str(image.info)
    assert main(["rerun", "out.png"]) == 3
    assert "says nothing about how it was made" in capfd.readouterr().err


def test_a_file_of_somebody_elses_beside_the_picture_is_not_replaced(folder, capfd):
    (folder / "out.jpg.json").write_text('{"mine": 1}')
    assert run("-o", "out.jpg") == 5
    assert "is no manifest of a picture" in capfd.readouterr().err
    assert (folder / "out.jpg.json").read_text() == '{"mine": 1}'
    assert run("-o", "out.jpg", "--force") == 0
    assert run("-o", "out.jpg") == 0  # its own is


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_threads(folder):
    more = ["--no-manifest", "--init", "noise", "--style-representation", "covariance", "--match-colours"]
    for threads in ("1", "2", "5"):
        assert run("-o", f"{threads}.png", "--threads", threads, *more, "cholesky") == 0
    assert (
        (folder / "1.png").read_bytes() == (folder / "2.png").read_bytes() == (folder / "5.png").read_bytes()
    )


def test_a_manifest_of_a_stranger_says_nothing_about_where_to_write():
    assert run("-o", "out.png") == 0
    found = manifest_of("out.png")
    found["given"] |= {"log": "stranger.jsonl"}
    save_image("strange.png", read_image("out.png"), {KEY: json.dumps(found)})
    assert main(["rerun", "strange.png", "--quiet"]) == 2
    assert not os.path.exists("stranger.jsonl")


def test_pictures_that_are_no_files_are_named_by_what_they_are():
    mask = np.zeros((3, 3, 3), np.uint8)
    found = introduction(mask, [mask], run_config({"untouched": mask}))
    assert (found["content"], found["styles"], found["options"]["untouched"]) == (
        "ndarray",
        ["ndarray"],
        "ndarray",
    )


def test_every_option_comes_back_from_json():
    """As checkpoints and manifests keep them."""
    from nst_manual.run.manifest import given_options

    given = {
        "style_layers": "relu1:2,fire2",
        "bounds": "none",
        "scale_iterations": "3,2",
        "style_scales": "1,0.5",
    }
    given |= {"memory": "4GB", "style_blend": "1,2", "style_masks": "a.png,b.png", "tolerance": "1e-3"}
    given |= {"init": "noise", "sketch": True, "checkpoint_every": "0.5", "threads": "3"}
    config = command_config(given)
    assert command_config(json.loads(json.dumps(given_options(config)))) == config


WORDS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_any_manifest_is_read_or_refused(data):
    whole = {
        "given": {},
        "files": [{"option": "content", "name": "a", "path": "a", "bytes": 1, "sha256": "0"}],
        "network": {"name": "vgg16", "weights": None, "sha256": None},
        "place": [0, 1],
        "stopped": "",
        "pixels": {"sha256": "0", "size": [1, 2]},
        "versions": {},
        "processor": "",
        "threads": 1,
    }
    assert parse_manifest(json.dumps(whole)).files[0]["name"] == "a"
    for name in data.draw(st.lists(st.sampled_from(sorted(whole)), max_size=3)):
        whole[name] = data.draw(WORDS)
    text = json.dumps(whole) if data.draw(st.booleans()) else data.draw(st.text())
    try:
        parse_manifest(text)
    except ImageError as error:
        assert "manifest is damaged" in str(error)


def test_a_picture_without_one_and_one_that_is_cut(folder):
    with pytest.raises(ImageError, match="says nothing"):
        read_manifest("painting.png")
    assert run("-o", "out.bmp") == 0
    (folder / "out.bmp.json").write_text((folder / "out.bmp.json").read_text()[:300])
    with pytest.raises(ImageError, match="manifest is damaged"):
        read_manifest("out.bmp")
