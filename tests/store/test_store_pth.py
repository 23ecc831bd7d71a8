"""PyTorch's files, both forms: right values, nothing executed, nothing allocated on the file's word.

The golden files were written by PyTorch. What no PyTorch that can be installed would write any more (strings
of Python 2, `_rebuild_tensor`, views of storages), and what is hostile, is put together here byte by byte.
"""

import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import golden_pth
import numpy as np
import pytest

from nst_manual.errors import WeightsError
from nst_manual.store import pth, unpickle

FILES = Path(__file__).parent / "files"
FORMS = ("zip", "legacy")
MAGIC = 0x1950A86A20F9469CFC6C
VALUES = np.arange(4, dtype="<f4") / 8


def read_all(path):
    with pth.open_archive(path) as archive:
        return {name: tensor.read() for name, tensor in archive.tensors.items()}


def refused(path, match):
    with pytest.raises(WeightsError, match=match) as caught:
        read_all(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


# Pickles by hand


def lit(value):
    """The instructions that push a value."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(kind="FloatStorage", key="0", total=4, offset=0, shape=(4,), stride=(1,), view=(), more=b""):
    ident = b"(" + lit("storage") + b"ctorch\n" + kind.encode() + b"\n" + lit(key) + lit("cpu") + lit(total)
    ident += b"".join(map(lit, view)) + b"tQ"
    args = (
        ident + lit(offset) + lit(shape) + lit(stride) + lit(False) + b"ccollections\nOrderedDict\n)R" + more
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + args + b"tR"


def dictionary(**values):
    return b"}(" + b"".join(lit(name) + value for name, value in values.items()) + b"u"


def program(body):
    return b"\x80\x02" + body + b"."


def write(path, form, body, data=None, system=None, byteorder=b"little"):
    """Write a file whose object pickle is `body`; data: key -> (number of elements, bytes)."""
    data = {"0": (4, VALUES.tobytes())} if data is None else data
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", program(body))
            archive.writestr("x/byteorder", byteorder)
            for key, (_, raw) in data.items():
                archive.writestr(f"x/data/{key}", raw)
        return path
    system = {"protocol_version": 1001, "little_endian": True} if system is None else system
    parts = [pickle.dumps(MAGIC, 2), pickle.dumps(1001, 2), pickle.dumps(system, 2), program(body)]
    parts.append(pickle.dumps(list(data), 2))
    parts += [struct.pack("<q", count) + raw for count, raw in data.values()]
    path.write_bytes(b"".join(parts))
    return path


# Right files


@pytest.mark.parametrize("path", sorted(FILES.glob("*.pth")), ids=lambda path: path.stem)
def test_files_of_pytorch(path):
    expected = golden_pth.kinds() if path.stem.startswith("kinds") else golden_pth.state()
    assert pth.matches(path.read_bytes()[:4096])
    assert pth.is_pytorch_zip(path) is ("legacy" not in path.stem)
    with pth.open_archive(path) as archive:
        assert archive.format == ("PyTorch (legacy)" if "legacy" in path.stem else "PyTorch (zip)")
        assert archive.axes == "OIHW" and list(archive.tensors) == list(expected)
        assert any("'state_dict' is taken" in w for w in archive.warnings) is ("checkpoint" in path.stem)
        assert any("no checksums" in w for w in archive.warnings) is ("unsummed" in path.stem)
        # In the reverse order, and each twice: parts of a shared storage are read on their own.
        for name in [*reversed(expected), *expected]:
            found = archive.tensors[name]
            array = found.read()
            assert array.dtype == found.dtype == expected[name].dtype and array.dtype.isnative
            assert array.shape == found.shape and array.flags.c_contiguous
            np.testing.assert_array_equal(array, expected[name], strict=True)


def test_all_golden_files_are_there():
    assert len(list(FILES.glob("*.pth"))) == 8


@pytest.mark.parametrize("form", FORMS)
def test_by_hand(tmp_path, form):
    np.testing.assert_array_equal(
        read_all(write(tmp_path / "x.pth", form, dictionary(w=tensor())))["w"], VALUES
    )


def python2(text):
    return b"U" + bytes([len(text)]) + text.encode("latin-1")


def test_python_2_and_the_oldest_pytorch(tmp_path):
    """Python 2's strings and OrderedDict, `_rebuild_tensor`, a view of a storage; after PyTorch 0.1.12."""
    ident = b"(" + python2("storage") + b"ctorch\nFloatStorage\n" + python2("94") + python2("cpu") + lit(4)
    whole, view = ident + b"NtQ", ident + b"(" + python2("95") + lit(1) + lit(3) + b"ttQ"
    old = b"ctorch._utils\n_rebuild_tensor\n("
    first = old + whole + lit(0) + lit((2, 2)) + lit((2, 1)) + b"tR"
    second = old + view + lit(1) + lit((2,)) + lit((1,)) + b"tR"
    pairs = b"](](" + python2("caf\xe9.weight") + first + b"e](" + python2("b") + second + b"ee"
    body = b"ccollections\nOrderedDict\n" + pairs + b"\x85R"
    path = write(tmp_path / "x.pth", "legacy", body, {"94": (4, VALUES.tobytes())})
    arrays = read_all(path)
    assert list(arrays) == ["caf\xe9.weight", "b"]
    np.testing.assert_array_equal(arrays["caf\xe9.weight"], VALUES.reshape(2, 2))
    np.testing.assert_array_equal(arrays["b"], VALUES[2:4])
    path.write_bytes(path.read_bytes().replace(b"K\x01K\x03t", b"K\x02K\x03t"))
    refused(path, "no sensible size")


def test_byte_orders(tmp_path):
    big = {"0": (4, VALUES.astype(">f4").tobytes())}
    path = write(tmp_path / "x.pth", "zip", dictionary(w=tensor()), big, byteorder=b"big")
    array = read_all(path)["w"]
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, VALUES)
    refused(write(path, "zip", dictionary(w=tensor()), byteorder=b"middle"), "neither little nor big")
    # Legacy files of big-endian machines have little-endian elements; the number before them may be either.
    system = {"little_endian": False}
    path = write(path, "legacy", dictionary(w=tensor()), system=system)
    np.testing.assert_array_equal(read_all(path)["w"], VALUES)
    turned = path.read_bytes()
    path.write_bytes(turned.replace(struct.pack("<q", 4), struct.pack(">q", 4)))
    np.testing.assert_array_equal(read_all(path)["w"], VALUES)
    refused(write(path, "legacy", dictionary(w=tensor()), system={}), "which machine wrote it")


@pytest.mark.parametrize("form", FORMS)
def test_where_the_tensors_are(tmp_path, form):
    path, t = tmp_path / "x.pth", tensor()
    data = {"0": (4, VALUES.tobytes())}

    def names(body):
        return list(read_all(write(path, form, body, data)))

    assert names(dictionary(model=dictionary(w=t), ema=dictionary(v=t))) == ["w"]
    assert names(dictionary(generator=dictionary(w=t), epoch=lit(3))) == ["w"]
    assert names(dictionary(best=t, state_dict=dictionary(w=t))) == ["w"]
    assert names(dictionary(model=dictionary(state_dict=dictionary(w=t)))) == ["w"]
    assert names(dictionary(**{"module.a.w": t, "module.b.w": t})) == ["a.w", "b.w"]
    assert names(dictionary(**{"module._orig_mod.a": t})) == ["a"]
    assert names(dictionary(**{"module.a": t, "b": t})) == ["module.a", "b"]
    assert names(dictionary(**{"module.": t})) == ["module."]
    assert names(dictionary(w=t, extra=lit([1, 2]))) == ["w"]
    for body, match in (
        (dictionary(a=dictionary(w=t), b=dictionary(w=t)), "several sets of tensors: 'a', 'b'"),
        (dictionary(best=t, stade_dict=dictionary(w=t)), "several sets of tensors: at the top, 'stade_dict'"),
        (b"](" + t + b"e", "holds a list"),
        (t, "holds a Rebuilt"),
        (b"}(" + lit(3) + t + b"u", "tensor under 3"),
        (dictionary(**{"a\nb": t}), "tensor under 'a"),
        (b"}(" + lit("w") + t + lit("w") + t + b"u", "'w' twice"),
        (b"}(" + lit((1, 2)) + t + b"u", "key of type tuple"),
        (b"}(" + lit(1 << 70) + t + b"u", "key of type int"),
    ):
        refused(write(path, form, body, data), match)
    refused(write(path, form, dictionary(epoch=lit(3)), {}), "no tensors")


def test_many_names_for_one_dictionary_do_not_take_for_ever(tmp_path):
    def named(number, values):
        items = b"".join(b"M" + struct.pack("<H", i) + value for i, value in enumerate(values))
        return b"}q" + bytes([number]) + b"(" + items + b"u"

    body = named(1, [b"N"] * 9000)
    for number in (2, 3, 4):
        body = named(number, [body] + [b"h" + bytes([number - 1])] * 9000)
    refused(write(tmp_path / "x.pth", "zip", body, {}), "no tensors")


# Hostile pickles

SYSTEM = lit("touch MARKER")
HOSTILE = {
    "GLOBAL": (b"cos\nsystem\n" + SYSTEM + b"\x85R", "os.system"),
    "posix": (b"cposix\nsystem\n" + SYSTEM + b"\x85R", "posix.system"),
    "STACK_GLOBAL": (lit("os") + lit("system") + b"\x93" + SYSTEM + b"\x85R", "os.system"),
    "INST": (b"(" + SYSTEM + b"ios\nsystem\n", "os.system"),
    "OBJ": (b"(cos\nsystem\n" + SYSTEM + b"o", "os.system"),
    "NEWOBJ": (b"cos\nsystem\n" + SYSTEM + b"\x85\x81", "os.system"),
    "eval": (b"cbuiltins\neval\n" + SYSTEM + b"\x85R", "builtins.eval"),
    "eval of Python 2": (b"c__builtin__\neval\n" + SYSTEM + b"\x85R", "__builtin__.eval"),
    "getattr": (b"cbuiltins\ngetattr\n)R", "builtins.getattr"),
    "torch.load": (b"ctorch\nload\n" + SYSTEM + b"\x85R", "torch.load"),
    "a module": (
        b"ctorch.nn.modules.container\nSequential\n)\x81}b",
        "torch.nn.modules.container.Sequential",
    ),
    "load from bytes": (b"ctorch.storage\n_load_from_bytes\nC\x00\x85R", "_load_from_bytes"),
    "dotted": (b"ctorch\nFloatStorage.__init__\n)R", "torch.FloatStorage.__init__"),
    "dotted, STACK_GLOBAL": (lit("torch._utils") + lit("__builtins__.eval") + b"\x93", "__builtins__.eval"),
    "dotted module": (b"ctorch._utils.torch\nFloatStorage\n", "torch._utils.torch.FloatStorage"),
    "v3": (b"ctorch._utils\n_rebuild_tensor_v3\n", "_rebuild_tensor_v3"),
    "newlines": (lit("a\nb\x1b[0m") + lit("c\r\u2028") + b"\x93", "refers to a.b"),
    "long": (lit("a" * 100_000) + lit("b") + b"\x93", "refers to a"),
    "another storage": (b"ctorch\nQInt8Storage\n", "torch.QInt8Storage"),
}
INERT = {
    "EXT1": (b"\x82\x01", "instruction 0x82"),
    "OBJ on a name in the list": (b"(ccollections\nOrderedDict\no", "instruction 0x6f"),
    "NEWOBJ on a name in the list": (b"ccollections\nOrderedDict\n)\x81", "instruction 0x81"),
    "call of a storage": (b"ctorch\nFloatStorage\n)R", "calls FloatStorage"),
    "call of a number": (lit(3) + b")R", "cannot be called"),
    "call without a tuple": (b"ccollections\nOrderedDict\n]R", "cannot be called"),
    "a name alone": (b"}" + lit("w") + b"ctorch._utils\n_rebuild_tensor\ns", "without calling it"),
    "a name in a tuple": (b"ctorch._utils\n_rebuild_tensor\n\x85", "without calling it"),
    "BUILD on a name": (b"ctorch\nFloatStorage\n}b", "no dict"),
    "BUILD on a tensor": (tensor() + b"}b", "no dict"),
    "BUILD by a list": (b"}]b", "no dictionary"),
    "parameter of nothing": (b"ctorch._utils\n_rebuild_parameter\n" + lit((1, 2, 3)) + b"R", "arguments"),
    "tensor of nothing": (
        b"ctorch._utils\n_rebuild_tensor\n" + lit((1, 2, (), ())) + b"R",
        "without storage",
    ),
    "dictionary of numbers": (b"ccollections\nOrderedDict\n" + lit(([1, 2],)) + b"R", "pairs"),
    "negative bit": (dictionary(w=tensor(more=lit({"neg": True}))), "properties"),
    "persistent number": (lit(3) + b"Q", "no storage"),
    "persistent module": (lit(("module", 1, 2, 3, 4)) + b"Q", "no storage"),
    "persistent of a wrong type": (
        lit(("storage", "torch.FloatStorage", "0", "cpu", 4)) + b"Q",
        "no known type",
    ),
    "key out of the folder": (dictionary(w=tensor(key="../../x")), "not a number"),
    "key of another type": (dictionary(w=tensor(key=3)), "not a number"),
    "two sizes": (dictionary(w=tensor(), v=tensor(total=5)), "in two ways"),
    "two types": (dictionary(w=tensor(), v=tensor("IntStorage")), "in two ways"),
    "negative size": (dictionary(w=tensor(total=-4)), "no sensible size"),
    "size True": (dictionary(w=tensor(total=True)), "no sensible size"),
    "view outside": (dictionary(w=tensor(view=[("1", 2, 3)])), "no sensible size"),
    "pop of nothing": (b"\x85", "not there"),
    "pop below a mark": (lit(1) + b"(\x85", "not there"),
    "mark missing": (b"t", "not there"),
    "memo missing": (b"h\x07", "not there"),
    "odd items": (b"}(" + lit("w") + b"u", "without a value"),
    "append to a dictionary": (b"}" + lit(1) + b"a", "no list"),
    "left over": (lit(1) + lit(2), "left over"),
    "not UTF-8": (b"X\x01\x00\x00\x00\xff", "not UTF-8"),
    "no end of a name": (b"c" + b"a" * 5000, "without an end"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ["alone", "value", "key", "state", "argument"])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_executed(tmp_path, monkeypatch, form, where, name):
    monkeypatch.chdir(tmp_path)
    attack, said = HOSTILE[name]
    body = {
        "alone": attack,
        "value": dictionary(w=tensor(), v=attack),
        "key": b"}(" + attack + tensor() + b"u",
        "state": dictionary(w=tensor()) + attack + b"b",
        "argument": dictionary(w=tensor(more=attack)),
    }[where]
    path = write(tmp_path / "x.pth", form, body.replace(b"touch MARKER", b"touch marker"))
    refused(path, f"{said}.*nothing was executed.*state_dict")
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


def test_the_attack_would_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    attack = HOSTILE["GLOBAL"][0].replace(b"touch MARKER", b"touch marker")
    pickle.loads(program(attack))
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["magic", "version", "system", "keys"])
def test_nothing_is_executed_in_the_other_pickles(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    parts = [pickle.dumps(x, 2) for x in (MAGIC, 1001, {"little_endian": True})]
    parts += [program(dictionary(w=tensor())), pickle.dumps(["0"], 2)]
    parts[["magic", "version", "system", "object", "keys"].index(name)] = program(
        HOSTILE["GLOBAL"][0].replace(b"touch MARKER", b"touch marker")
    )
    (tmp_path / "x.pth").write_bytes(b"".join(parts) + struct.pack("<q", 4) + VALUES.tobytes())
    refused(tmp_path / "x.pth", "os.system")
    assert pth.matches((tmp_path / "x.pth").read_bytes())
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", INERT)
def test_nonsense_is_refused(tmp_path, form, name):
    body, said = INERT[name]
    refused(write(tmp_path / "x.pth", form, body), said)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "changes, match",
    [
        ({"shape": (5,)}, "storage of 4 elements"),
        ({"offset": 1}, "storage of 4 elements"),
        ({"stride": (2,)}, "storage of 4 elements"),
        ({"shape": (10**13,), "stride": (0,)}, "storage of 4 elements"),
        ({"shape": (10**6, 10**7), "stride": (0, 0)}, "storage of 4 elements"),
        ({"shape": (0, 1 << 59), "stride": (1, 1)}, "storage of 4 elements"),
        ({"shape": (), "stride": (), "offset": 4}, "storage of 4 elements"),
        ({"shape": (-1,)}, "no natural numbers"),
        ({"stride": (-1,)}, "no natural numbers"),
        ({"offset": -1}, "no natural numbers"),
        ({"shape": (4.0,)}, "no natural numbers"),
        ({"shape": (1 << 63,)}, "no natural numbers"),
        ({"shape": (1,) * 40, "stride": (1,) * 40}, "do not fit together"),
        ({"shape": (2, 2)}, "do not fit together"),
        ({"shape": [4]}, "without storage, shape"),
        ({"total": 10**13, "shape": (10**13,)}, "declares|has not"),
        ({"key": "1"}, "no member data/1|list of storages"),
        ({"kind": "DoubleStorage"}, "declares"),
        ({"kind": "HalfStorage"}, "declares|bytes after"),
    ],
)
def test_tensors_outside_their_storage(tmp_path, form, changes, match):
    path = write(tmp_path / "x.pth", form, dictionary(w=tensor(**changes)))
    tracemalloc.start()
    try:
        refused(path, match)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", FORMS)
def test_strides(tmp_path, form):
    path = tmp_path / "x.pth"
    for shape, stride, offset in (
        ((2, 2), (1, 2), 0),
        ((2, 2), (1, 1), 1),
        ((2,), (3,), 0),
        ((1, 1), (1 << 50, 7), 3),
        ((), (), 2),
        ((2, 0), (1, 1), 4),
    ):
        body = dictionary(w=tensor(shape=shape, stride=stride, offset=offset))
        expected = np.array(
            [VALUES[offset + np.dot(index, stride).astype(int)] for index in np.ndindex(shape)], "f4"
        )
        found = read_all(write(path, form, body))["w"]
        np.testing.assert_array_equal(found, expected.reshape(shape), strict=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "body",
    [
        b"Nr" + struct.pack("<I", 1 << 31),
        b"B" + struct.pack("<I", 1 << 31),
        b"X" + struct.pack("<I", 1 << 31),
        b"\x8e" + struct.pack("<Q", 1 << 62),
        b"\x8d" + struct.pack("<Q", 1 << 62),
        b"T" + struct.pack("<i", -1),
        b"\x8b" + struct.pack("<i", 1 << 30),
        b"\x95" + struct.pack("<Q", 1 << 62),
        b"})" + b"q\x00h\x00\x86" * 60 + b"Ns",  # would take 2**60 steps to hash
    ],
)
def test_a_pickle_that_declares_much(tmp_path, form, body):
    path = write(tmp_path / "x.pth", form, body)
    tracemalloc.start()
    try:
        refused(path, "pickle|key of type|holds a NoneType|list of storages")
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


PAIRS = b"](" + b"".join(lit(i) + b"N\x86" for i in range(1000)) + b"e\x85q\x01"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "body",
    [
        b"]" * 100_000,
        b"(" * 100_000,
        b")" + b"\x85" * 100_000,
        b"})" + b"\x85" * 100_000 + b"Ns",  # crashes pickle.Unpickler
        b"ccollections\nOrderedDict\nq\x00" + PAIRS + b"h\x00h\x01R" * 10_000,
        b"N" * 150_000,
    ],
    ids=["lists", "marks", "tuples", "key", "copies", "long"],
)
def test_a_pickle_that_makes_much(tmp_path, monkeypatch, form, body):
    monkeypatch.setattr(unpickle, "MAX_WORK", 120_000)
    refused(write(tmp_path / "x.pth", form, body), "pickle|key of type|holds a tuple|list of storages")


def test_instructions_are_paid_for(tmp_path, monkeypatch):
    monkeypatch.setattr(unpickle, "MAX_WORK", 1000)
    refused(write(tmp_path / "x.pth", "zip", b"N" * 1001), "more instructions than weights need")


def test_copies_of_a_dictionary_are_paid_for(tmp_path):
    body = b"ccollections\nOrderedDict\nq\x00" + PAIRS + b"h\x00h\x01R" * 10_000
    path = write(tmp_path / "x.pth", "zip", body)
    tracemalloc.start()
    try:
        refused(path, "more instructions than weights need")
        assert tracemalloc.get_traced_memory()[1] < 100 * len(body)
    finally:
        tracemalloc.stop()


def test_a_pickle_that_contains_itself(tmp_path):
    path = write(tmp_path / "x.pth", "zip", b"}q\x01" + lit("a").replace(b"q\x00", b"") + b"h\x01s", {})
    refused(path, "no tensors")
    path = write(
        tmp_path / "x.pth", "zip", b"}q\x01(" + lit("a")[:-2] + b"h\x01" + lit("w") + tensor() + b"u"
    )
    refused(path, "several sets of tensors: at the top, 'a'")


# Damage


@pytest.mark.parametrize("stem", ["state_zip", "state_legacy", "kinds_zip", "kinds_legacy"])
def test_cut(tmp_path, stem):
    data = (FILES / f"{stem}.pth").read_bytes()
    path = tmp_path / "x.pth"
    for size in {*range(0, len(data), len(data) // 60), *range(len(data) - 30, len(data))}:
        path.write_bytes(data[:size])
        refused(path, "truncated|empty|not a file of PyTorch's")


@pytest.mark.parametrize("stem", [path.stem for path in sorted(FILES.glob("*.pth"))])
def test_flipped_bytes(tmp_path, stem):
    data = (FILES / f"{stem}.pth").read_bytes()
    path = tmp_path / "x.pth"
    shapes = {name: array.shape for name, array in read_all(FILES / f"{stem}.pth").items()}
    sizes = sorted(shapes.values())
    rng = np.random.default_rng(0)
    errors = 0
    for place in rng.choice(len(data), 200, replace=False):
        damaged = bytearray(data)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        try:
            arrays = read_all(path)
        except WeightsError:
            errors += 1
            continue
        # The legacy form has no sums: a flipped letter of a name goes unnoticed, a lost tensor does not.
        assert len(arrays) == len(shapes)
        if "legacy" not in stem and "unsummed" not in stem:
            assert sorted(array.shape for array in arrays.values()) == sizes
    assert errors > 40


def test_a_flipped_value_is_noticed_in_a_zip(tmp_path):
    data = bytearray((FILES / "kinds_zip.pth").read_bytes())
    shared = golden_pth.base(golden_pth.kinds()).tobytes()
    data[data.index(shared)] ^= 1  # the first value of the shared storage, of which "rows" is another part
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    with pth.open_archive(path) as archive:
        archive.tensors["float"].read()
        for name in ("rows", "transposed", "rows"):
            with pytest.raises(WeightsError, match=f"checksum mismatch inside the file, in {name}"):
                archive.tensors[name].read()


def test_other_archives(tmp_path):
    path = tmp_path / "x.pth"
    for names, match in (
        (["x/data.pkl", "x/constants.pkl", "x/code/__torch__.py"], "TorchScript"),
        (["a.npy", "b.npy"], "not one of PyTorch's"),
        (["x/data.pkl", "y/data.pkl"], "not one of PyTorch's"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, program(dictionary()))
        refused(path, match)
        assert pth.is_pytorch_zip(path) is (names[0] != "a.npy")
        assert pth.matches(path.read_bytes())
    path.write_bytes(b"sys_info" + bytes(249) + b"ustar\x0000" + bytes(1000))
    assert pth.matches(path.read_bytes())
    refused(path, "tar archive of PyTorch before")
    path.write_bytes(pickle.dumps({"w": [1, 2]}, 2))
    refused(path, "not one of PyTorch's")
    for head in (b"<html>", b"", b"\x89HDF\r\n\x1a\n", struct.pack("<Q", 0x280) + b'{"a"', b"PK\x05\x06"):
        assert not pth.matches(head)
    refused(tmp_path / "none.pth", "cannot be read")
    assert not pth.is_pytorch_zip(tmp_path / "none.pth")


def test_a_zip_that_was_cut_is_still_known_to_be_pytorchs(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes((FILES / "state_zip.pth").read_bytes()[:1000])
    assert pth.is_pytorch_zip(path)


@pytest.mark.parametrize(
    "kind", ["compressed", "bomb", "twice", "encrypted", "extra", "moved", "far", "long"]
)
def test_hostile_zips(tmp_path, kind):
    path = tmp_path / "x.pth"
    packed = zipfile.ZIP_DEFLATED if kind in ("compressed", "bomb") else zipfile.ZIP_STORED
    total = 5_000_000 if kind == "bomb" else 4
    raw = bytes(4 * total) if kind == "bomb" else VALUES.tobytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", program(dictionary(w=tensor(total=total))))
        archive.writestr("x/data/0", raw, packed)
        archive.writestr("../../evil", b"x")
        archive.writestr("/evil", b"x")
        if kind == "twice":
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr("x/data/0", raw)
    del raw
    data = path.read_bytes()
    directory = data.index(b"PK\x01\x02", data.index(b"/evil"))
    entry = data.index(b"x/data/0", directory) - 46
    if kind == "encrypted":
        data = data[: entry + 8] + b"\x01" + data[entry + 9 :]
    if kind == "moved":
        data = data[: entry + 42] + struct.pack("<I", 1) + data[entry + 46 :]
    if kind == "far":
        extra = struct.pack("<HHQ", 1, 8, 1 << 63)  # the offset of zip64
        data = (
            data[: entry + 30]
            + struct.pack("<H", 12)
            + data[entry + 32 : entry + 42]
            + b"\xff" * 4
            + (data[entry + 46 : entry + 54] + extra + data[entry + 54 :])
        )
        data = data[:-10] + struct.pack("<I", len(data) - 22 - directory) + data[-6:]
    if kind == "long":
        data = data[: entry + 20] + struct.pack("<II", 1 << 31, 1 << 31) + data[entry + 28 :]
    if kind == "extra":
        end = data.index(b"PK\x05\x06")
        data = data[:end] + bytes(5 << 20) + data[end:]
        size = len(data) - 22 - directory
        data = data[: len(data) - 10] + struct.pack("<I", size) + data[len(data) - 6 :]
    path.write_bytes(data)
    del data
    tracemalloc.start()
    try:
        refused(
            path,
            {
                "compressed": "is compressed",
                "bomb": "is compressed",
                "twice": "two members of the same name",
                "encrypted": "encrypted",
                "extra": "directory has more than",
                "moved": "not where it should be",
                "far": "not where it should be",
                "long": "declares 2147483648 bytes",
            }[kind],
        )
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
    assert not (tmp_path.parent / "evil").exists()


def test_a_members_name_does_no_harm(tmp_path):
    path = write(tmp_path / "x.pth", "zip", dictionary(w=tensor()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil", b"x")
    np.testing.assert_array_equal(read_all(path)["w"], VALUES)
    assert not (tmp_path.parent.parent / "evil").exists()


def test_legacy_lists(tmp_path):
    path, t, one = tmp_path / "x.pth", dictionary(w=tensor()), (4, VALUES.tobytes())
    refused(write(path, "legacy", t, {"0": one, "1": one}), "list of storages")
    refused(write(path, "legacy", t, {}), "list of storages")
    refused(write(path, "legacy", t, {"0": (5, one[1])}), "has not the 4 elements")
    refused(write(path, "legacy", t, {"0": (-4, one[1])}), "has not the 4 elements")
    refused(write(path, "legacy", t, {"0": (4, one[1] + b"x")}), "1 bytes after the last storage")
    refused(write(path, "legacy", t, {"0": (4, one[1][:-1])}), "it ends before")
