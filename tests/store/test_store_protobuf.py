"""The wire format of protocol buffers, put together by hand, whole and damaged."""

import struct
import tracemalloc

import numpy as np
import pytest

from nst_manual.errors import ResourceError, WeightsError
from nst_manual.store import protobuf
from nst_manual.store.protobuf import Message, Numbers, Source


def varint(value):
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def tag(number, wire):
    return varint(number << 3 | wire)


def sized(number, content):
    return tag(number, 2) + varint(len(content)) + content


def message(data):
    return Message(Source("x", data), 0, len(data))


def fields(data):
    return list(message(data).fields())


def test_every_wire_type():
    data = b"\x0a\x05conv1" + b"\x10\x96\x01" + tag(3, 5) + struct.pack("<f", 1.5)
    data += tag(100, 1) + struct.pack("<d", -2.5) + tag(5, 0) + varint(-7)
    name, number, single, double, negative = fields(data)
    assert (name.number, name.text()) == (1, "conv1")
    assert (number.number, number.integer()) == (2, 150)
    assert (single.number, single.float32()) == (3, 1.5)
    assert (double.number, struct.unpack("<d", data[double.start : double.end])[0]) == (100, -2.5)
    assert negative.integer() == -7


def test_message_in_a_message():
    inner = next(iter(fields(sized(7, sized(1, b"\x03\x80\x01")))))
    (item,) = inner.message().fields()
    assert item.integers() == [3, 128]


@pytest.mark.parametrize(
    "data, match",
    [
        (b"\x0a", "runs over the end"),
        (b"\x0a\x05conv", "field 1 at byte 0 has 5 bytes, 4 are there"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "bytes, 0 are there"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "has no end"),
        (b"\x08\x96", "runs over the end"),
        (b"\x0d\x00\x00\x00", "has 4 bytes, 3 are there"),
        (b"\x09\x00\x00\x00", "has 8 bytes, 3 are there"),
        (b"\x00\x00", "no field begins"),
        (b"\x0b\x0c", "no field begins"),
        (b"\x0e\x00", "no field begins"),
        (tag(1 << 29, 0) + b"\x00", "no field begins"),
    ],
)
def test_damage(data, match):
    with pytest.raises(WeightsError, match=match) as caught:
        fields(data)
    assert "damaged or truncated" in str(caught.value)


def test_an_inner_message_ends_where_the_outer_one_does():
    (item, *_) = message(sized(1, b"\x0a\x05abc") + sized(2, b"de")).fields()
    with pytest.raises(WeightsError, match="has 5 bytes, 3 are there"):
        list(item.message().fields())


def test_wrong_type_for_what_is_asked():
    (item,) = fields(b"\x08\x01")
    for ask in (item.text, item.message, item.float32):
        with pytest.raises(WeightsError, match="of another type"):
            ask()
    (item,) = fields(sized(1, b"ab"))
    with pytest.raises(WeightsError, match="of another type"):
        item.integer()
    for dtype in ("<f4", "<f8"):
        with pytest.raises(WeightsError, match="of another type"):
            Numbers(dtype).add(fields(b"\x08\x01")[0])


def test_names_that_are_no_text():
    assert fields(sized(1, b"a\xffb"))[0].text() == "a\\xffb"
    with pytest.raises(WeightsError, match="a name of 70000 bytes"):
        fields(sized(1, b"a" * 70_000))[0].text()
    assert "\n" not in protobuf.shown("a\nb") and len(protobuf.shown("x" * 1000)) < 100


def read_numbers(dtype, data):
    numbers = Numbers(dtype)
    for item in message(data).fields():
        numbers.add(item)
    return numbers


@pytest.mark.parametrize("dtype, wire", [("<f4", 5), ("<f8", 1)])
@pytest.mark.parametrize("count", [0, 1, 2, 17, 5000])
def test_floats_packed_or_not_or_both(dtype, wire, count):
    values = np.random.default_rng(count).standard_normal(count).astype(dtype)
    packed = sized(5, values.tobytes())
    single = b"".join(tag(5, wire) + value.tobytes() for value in values)
    long_tag = b"".join(tag(500, wire) + value.tobytes() for value in values)
    for data, times in ((packed, 1), (single, 1), (packed + single + packed, 3), (long_tag, 1)):
        numbers = read_numbers(dtype, data)
        found = numbers.read()
        assert numbers.count == count * times and found.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(found, np.tile(values, times))


def test_unpacked_values_are_one_field():
    single = b"".join(tag(5, 5) + struct.pack("<f", value) for value in range(3000))
    first, other = fields(single + b"\x08\x01")
    assert first.count == 3000 and other.number == 1


def test_floats_of_a_broken_length():
    with pytest.raises(WeightsError, match="7 bytes, not a multiple of 4"):
        read_numbers("<f4", sized(5, b"1234567"))


@pytest.mark.parametrize("block", [11, 1 << 20])
def test_varints_packed_or_not(monkeypatch, block):
    monkeypatch.setattr(protobuf, "BLOCK", block)
    rng = np.random.default_rng(0)
    values = [0, 1, -1, 127, 128, (1 << 63) - 1, -(1 << 63), *rng.integers(-9999, 9999, 300).tolist()]
    packed = sized(7, b"".join(map(varint, values)))
    single = b"".join(tag(7, 0) + varint(value) for value in values)
    for data, times in ((packed, 1), (single, 1), (single + packed, 2), (b"", 0)):
        numbers = read_numbers(None, data)
        assert numbers.count == len(values) * times
        assert numbers.read().tolist() == values * times


def test_varints_without_an_end():
    with pytest.raises(WeightsError, match="ends inside a number"):
        read_numbers(None, sized(7, b"\x01\x80"))
    with pytest.raises(WeightsError, match="has no end"):
        read_numbers(None, sized(7, b"\x01" + b"\x80" * 12 + b"\x01")).read()
    with pytest.raises(WeightsError, match="more than 16 numbers"):
        fields(sized(1, b"\x01" * 17))[0].integers()


def test_more_fields_than_any_file_has(monkeypatch):
    monkeypatch.setattr(protobuf, "MAX_FIELDS", 100)
    with pytest.raises(WeightsError, match="more than 100 fields"):
        fields(b"\x08\x01" * 101)


@pytest.mark.parametrize("shape", [[-1, -4], [2, 3], [1 << 62, 4, 0], [1] * 17 + [4], [0]])
def test_shapes_that_do_not_fit(shape):
    with pytest.raises(WeightsError, match="declares the shape"):
        protobuf.checked_shape(Source("x", b""), "w", shape, 4)


def test_open(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\x08\x01")
    with protobuf.open_message(path) as opened:
        assert [item.integer() for item in opened.fields()] == [1]
    with pytest.raises(ResourceError, match="does not fit"), protobuf.open_message(path):
        raise MemoryError
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match="is empty"), protobuf.open_message(path):
        pass
    for other in (tmp_path, tmp_path / "none"):
        with pytest.raises(WeightsError, match="cannot be read"), protobuf.open_message(other):
            pass


def test_a_length_allocates_nothing():
    data = b"\x0a" + varint(1 << 40) + b"\x2a" + varint(1 << 50)
    tracemalloc.start()
    with pytest.raises(WeightsError):
        fields(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
