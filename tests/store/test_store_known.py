"""The table of published files; what a file is by its sum and name; which files in the cache count."""

import hashlib
import re
from collections import Counter
from dataclasses import replace

import pytest

from nst_manual import store
from nst_manual.errors import WeightsError
from nst_manual.nets import NETWORKS
from nst_manual.store import checksum, find
from nst_manual.store.known import KNOWN

DATA = b"weights, or so they say" * 1000


def digest(algorithm, data=DATA):
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()


@pytest.fixture
def publish(monkeypatch):
    """Return a function that puts files into the table, instead of all others."""
    monkeypatch.setattr(checksum, "KNOWN", table := {})

    def add(name, file, sum_):
        table[name] = replace(KNOWN["alexnet"], name=name, url=f"https://example.org/{file}", checksum=sum_)
        return table[name]

    return add


def test_names_and_files_are_unique_and_networks_exist():
    for name, known in KNOWN.items():
        assert name == known.name and known.network in NETWORKS
    files = Counter(known.file.lower() for known in KNOWN.values())
    assert max(files.values()) == 1
    # No file that a user converts, or that is bundled, has a published one's name.
    assert not {f"{network}.h5" for network in NETWORKS} & set(files)
    assert list(KNOWN)[:4] == ["vgg19", "vgg19-top", "vgg16", "vgg16-top"]
    # A network's name gets that network.
    assert all(KNOWN[network].network == network for network in KNOWN.keys() & NETWORKS.keys())
    assert {known.network for known in KNOWN.values()} == set(NETWORKS) - {"vgg11", "vgg13", "vgg16c"}


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_entry(known):
    assert re.fullmatch(
        "md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:([0-9a-f]{8}|[0-9a-f]{64})", known.checksum
    )
    assert checksum.algorithm_of(known.checksum) == known.checksum.partition(":")[0]
    assert known.whole == (known.checksum.partition(":")[2] != known.checksum[-8:])
    assert known.url.startswith("https://") or (known.url.startswith("http://") and known.whole)
    assert re.fullmatch(r"[\w.-]+", known.file) and known.file.endswith(find.EXTENSIONS)
    # In bytes, between SqueezeNet and VGG-19 with its classifier.
    assert known.licence and 4e6 < known.size < 600e6
    # PyTorch prints the first digits of the sum in the name.
    if found := re.fullmatch(r".+-([0-9a-f]{8})\.pth", known.file):
        assert known.checksum.startswith(f"sha256:{found[1]}")
    else:
        assert known.whole
    pre = known.preprocessing
    assert (pre.scale == 1 and max(pre.mean) > 100) or (pre.scale == 1 / 255 and max(pre.mean) < 1)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_whole_sum_counts_under_any_name(tmp_path, publish, algorithm):
    known = publish("it", "it.pth", f"{algorithm}:{digest(algorithm)}")
    publish("other", "other.pth", f"{algorithm}:{digest(algorithm, b'other')}")
    for name in ("it.pth", "renamed.bin", "other.pth"):
        (tmp_path / name).write_bytes(DATA)
        found = checksum.identify(tmp_path / name)
        assert found == checksum.Identity(digest("sha256"), known, True)
    (tmp_path / "it.pth").write_bytes(DATA + b"?")
    assert checksum.identify(tmp_path / "it.pth").known is None


@pytest.mark.parametrize("digits", [8, 20])
def test_first_digits_need_the_name_too(tmp_path, publish, cache, digits):
    known = publish("it", "it.pth", f"sha256:{digest('sha256')[:digits]}")
    cache.mkdir(parents=True)
    for folder in (tmp_path, cache):
        (folder / "it.pth").write_bytes(DATA)
        found = checksum.identify(folder / "it.pth")
        assert found == checksum.Identity(digest("sha256"), known, True, partial=True)
        (folder / "renamed.pth").write_bytes(DATA)
        found = checksum.identify(folder / "renamed.pth")
        assert (found.known, found.named, found.trusted, found.partial) == (None, None, False, False)
        assert found.warning == "has the first digits of it.pth's checksum, but another name"


def test_whole_sum_is_preferred_to_first_digits(tmp_path, publish):
    publish("short", "it.pth", f"sha256:{digest('sha256')[:8]}")
    whole = publish("whole", "whole.pth", f"sha256:{digest('sha256')}")
    (tmp_path / "it.pth").write_bytes(DATA)
    assert checksum.identify(tmp_path / "it.pth") == checksum.Identity(digest("sha256"), whole, True)


@pytest.mark.parametrize("algorithm, digits", [("md5", 32), ("sha1", 40), ("sha256", 64), ("sha256", 8)])
def test_file_saved_again_under_a_known_name(tmp_path, publish, cache, algorithm, digits):
    expected = f"{algorithm}:{digest(algorithm, b'as published')[:digits]}"
    known = publish("it", "it.pth", expected)
    (tmp_path / "it.pth").write_bytes(DATA)
    found = checksum.identify(tmp_path / "it.pth")
    assert (found.known, found.named, found.trusted, found.partial) == (None, known, False, False)
    assert found.warning == (
        f"has the name of a published file but another checksum ({algorithm}:{digest(algorithm)})"
    )
    # In the cache only `weights get` writes that name.
    cache.mkdir(parents=True)
    (cache / "it.pth").write_bytes(DATA)
    if digits == 8:
        expected += "..."
    message = (
        f"found {algorithm}:{digest(algorithm)}, expected {expected} (`nst-manual weights get it` fetches"
    )
    with pytest.raises(WeightsError, match=re.escape(message)):
        checksum.identify(cache / "it.pth")


def test_saved_again_by_neural_style_pt(tmp_path):
    for name in (
        "vgg19-jcjohnson",
        "vgg16-jcjohnson",
        "vgg19-matconvnet",
        "googlenet-caffe",
        "squeezenet-onnx",
    ):
        (tmp_path / KNOWN[name].file).write_bytes(DATA)
        assert checksum.identify(tmp_path / KNOWN[name].file).named is KNOWN[name]


def test_unknown_and_unreadable(tmp_path):
    (tmp_path / "x.pth").write_bytes(DATA)
    assert checksum.identify(tmp_path / "x.pth") == checksum.Identity(digest("sha256"), None, False)
    with pytest.raises(WeightsError, match="cannot be read"):
        checksum.identify(tmp_path / "none.pth")


def test_files_are_read_once_and_in_small_blocks():
    class File:
        def __init__(self):
            self.left, self.read_, self.largest = DATA * 100, 0, 0

        def read(self, size):
            block, self.left = self.left[:size], self.left[size:]
            self.read_ += len(block)
            self.largest = max(self.largest, size)
            return block

    file = File()
    found = checksum.digests(file, ["md5", "sha1", "sha256"])
    assert found == {name: digest(name, DATA * 100) for name in ("md5", "sha1", "sha256")}
    assert file.read_ == len(DATA) * 100 and file.largest <= 1 << 22


def test_identify_computes_each_digest_once(tmp_path, monkeypatch):
    asked = []
    true = checksum.digests

    def count(file, algorithms):
        asked.append(sorted(algorithms))
        return true(file, algorithms)

    monkeypatch.setattr(checksum, "digests", count)
    (tmp_path / KNOWN["googlenet"].file).write_bytes(DATA)
    checksum.identify(tmp_path / KNOWN["googlenet"].file)
    assert asked == [["md5", "sha1", "sha256"]]
    asked.clear()
    checksum.identify(find.bundled_folder() / "vgg16.h5")
    assert asked == [["sha256"]], "of a bundled file no other sum is wanted"


def test_default_is_the_first_published_file_then_a_converted_one_then_the_bundled_one(cache):
    cache.mkdir(parents=True)
    assert find.find_weights("vgg16") == find.bundled_folder() / "vgg16.h5"
    files = [known.file for known in KNOWN.values() if known.network == "vgg16"]
    for file in ("vgg16.h5", *reversed(files)):  # the one that comes first, last
        (cache / file).write_bytes(DATA)
        assert find.find_weights("vgg16") == cache / file
    for network in ("alexnet", "alexnet-caffe", "googlenet", "googlenet-caffe"):
        assert find.find_weights(network) is None
        (cache / f"{network}.h5").write_bytes(DATA)
        assert find.find_weights(network) == cache / f"{network}.h5"
        (cache / KNOWN[network].file).write_bytes(DATA)
        assert (
            find.find_weights(network) == find.find_weights(network, top=True) == cache / KNOWN[network].file
        )
    (cache / KNOWN["vgg19"].file).write_bytes(DATA)
    assert find.find_weights("vgg19", top=True) is None
    (cache / KNOWN["vgg19-onnx"].file).write_bytes(DATA)
    assert find.find_weights("vgg19", top=True) == cache / KNOWN["vgg19-onnx"].file


def test_list_has_every_known_file_and_what_else_is_in_the_cache(cache):
    rows = store.list_weights()
    assert [row["name"] for row in rows] == ["vgg16-bundled", "squeezenet-bundled", *KNOWN]
    assert all(row["status"] == "known" and row["path"] is None for row in rows[2:])
    cache.mkdir(parents=True)
    mine = [f"mine{extension}" for extension in find.EXTENSIONS] + ["UPPER.PTH", "googlenet.h5"]
    for name in (*mine, "vgg19.h5.part", "notes.txt", KNOWN["googlenet"].file):
        (cache / name).write_bytes(DATA)
    (cache / "folder.h5").mkdir()
    rows = {row["file"]: row for row in store.list_weights()}
    assert set(rows) == {"vgg16.h5", "squeezenet.h5", *mine} | {known.file for known in KNOWN.values()}
    installed = {file for file, row in rows.items() if row["status"] == "installed"}
    assert installed == {*mine, KNOWN["googlenet"].file}
    assert rows["googlenet.h5"]["network"] == "googlenet" and rows["mine.pth"]["network"] is None
    assert rows["mine.onnx"]["size"] == len(DATA) and rows["mine.onnx"]["url"] is None
