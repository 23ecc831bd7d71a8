r"""Pickles of unknown origin, read by a machine that cannot execute anything.

A pickle is a program for a machine with a stack and a memo: each byte is an instruction, some are followed
by an argument. ``{"w": 7}`` in protocol 2 is

    80 02                  PROTO 2
    7D                     EMPTY_DICT    push {}
    71 00                  BINPUT 0      keep the top of the stack as number 0
    58 01 00 00 00 77      BINUNICODE    push "w" (length in 4 bytes, then UTF-8)
    4B 07                  BININT1       push 7
    73                     SETITEM       pop value and key into the dictionary below
    2E                     STOP          the top of the stack is the result

Two instructions make pickles dangerous: GLOBAL pushes any function of any module, REDUCE calls it. Here
GLOBAL pushes the name alone, if it stands in a closed list, and REDUCE asks a subclass what the call would
have made; no class or function is ever looked up, so nothing can be executed.

Why not a subclass of `pickle.Unpickler` whose `find_class` refuses: it crashes the interpreter on a key
of tuples nested 200000 deep, and eight bytes (LONG_BINPUT 2**27) make it allocate 2 GB. Here memory and time
are bounded by the size of the pickle: every instruction pays from a budget, so do the items that it copies.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from nst_manual.errors import WeightsError

MAX_BYTES = 16 << 20  # of all pickles of a file; VGG-19's have 5 kB, those of ten thousand tensors 3 MB
MAX_WORK = 2_000_000  # instructions and items copied; a tensor takes about 40
MAX_TEXT = 200  # characters of a name in GLOBAL
HINT = "save model.state_dict() and nothing else"


@dataclass(frozen=True, slots=True)
class Global:
    """A name in the closed list; stands for nothing."""

    module: str
    name: str


# Instructions whose argument has a fixed size, and those whose text follows its length: (format, decoding).
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
_TEXTS = {
    b"X": ("<I", "utf-8"),  # BINUNICODE
    b"\x8c": ("<B", "utf-8"),  # SHORT_BINUNICODE
    b"\x8d": ("<Q", "utf-8"),  # BINUNICODE8
    b"T": ("<i", "latin-1"),  # BINSTRING, what Python 2 calls a string
    b"U": ("<B", "latin-1"),  # SHORT_BINSTRING
    b"B": ("<I", None),  # BINBYTES
    b"C": ("<B", None),  # SHORT_BINBYTES
    b"\x8e": ("<Q", None),  # BINBYTES8
}
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
_GETS = {b"h": "<B", b"j": "<I"}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
_NO_VALUE = object()


class Unpickler:
    """Reads pickles one after another from a stream.

    Parameters
    ----------
    stream : binary file
        At the beginning of a pickle; `load` leaves it after the last byte.
    file : str
        For messages.
    size : int
        Bytes from there to the end of the file.

    Attributes
    ----------
    names : frozenset
        The closed list: (module, name) that GLOBAL may push.
    values : frozenset
        Those names that are not functions, and may stay in a tuple uncalled.
    """

    names: frozenset[tuple[str, str]] = frozenset()
    values: frozenset[str] = frozenset()

    def __init__(self, stream: BinaryIO, file: str, size: int) -> None:
        self.stream, self.file = stream, file
        self.left = min(size, MAX_BYTES)
        # An instruction has a byte or more, an item that is copied was pushed by one.
        self.work = min(2 * size, MAX_WORK)

    def load(self) -> Any:
        """Return what the next pickle describes: None, numbers, text, lists, tuples, dictionaries,
        and what `call` and `outside` return.

        Raises
        ------
        WeightsError
            It refers to anything outside the closed list, is damaged, or too large.
        """
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        if self.take(1) != b"\x80" or self.number("<B") not in (2, 3, 4, 5):
            raise self.damaged("has no pickle of protocol 2 to 5 where there should be one")
        while (code := self.take(1)) != b".":
            self.pay(1)
            value = self.simple(code)
            if value is not _NO_VALUE:
                self.stack.append(value)
            elif operation := _OPERATIONS.get(code):
                operation(self)
            else:
                raise self.unknown(code)
        if len(self.stack) != 1 or self.marks:
            raise self.damaged("its pickle ends with values left over")
        return self.stack[0]

    def simple(self, code: bytes) -> Any:
        """Return the value that an instruction pushes, or `_NO_VALUE` if it does something else."""
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if fmt := _NUMBERS.get(code):
            return self.number(fmt)
        if form := _TEXTS.get(code):
            data = self.take(self.number(form[0]))
            try:
                return data.decode(form[1]) if form[1] else data
            except UnicodeDecodeError:
                raise self.damaged("its pickle has text that is not UTF-8") from None
        if fmt := _GETS.get(code):
            value = self.memo.get(self.number(fmt), _NO_VALUE)
            if value is _NO_VALUE:
                raise self.damaged("its pickle refers to a value that is not there")
            return value
        if code == b"\x8a":  # LONG1
            return int.from_bytes(self.take(self.number("<B")), "little", signed=True)
        if code in b"}]":  # EMPTY_DICT, EMPTY_LIST
            return {} if code == b"}" else []
        if code in _TUPLES:
            return self.tuple(self.pop(_TUPLES[code]))
        if code == b"t":
            return self.tuple(self.pop_mark())
        return _NO_VALUE

    # Bytes and the budget

    def take(self, count: int) -> bytes:
        """Return the next bytes, after making sure that there are as many."""
        if not 0 <= count <= self.left:
            raise self.damaged("ends in the middle of its pickle, or the pickle is too long")
        self.left -= count
        data = self.stream.read(count)
        if len(data) != count:
            raise self.damaged("ends in the middle of its pickle")
        return data

    def number(self, fmt: str) -> Any:
        """Return the number that comes next."""
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    def line(self) -> str:
        """Return a line of text."""
        data = self.stream.readline(min(self.left, MAX_TEXT))
        self.left -= len(data)
        if not data.endswith(b"\n"):
            raise self.damaged("its pickle has a name without an end")
        return data[:-1].decode("utf-8", "replace")

    def pay(self, work: int) -> None:
        """Take from the budget."""
        self.work -= work
        if self.work < 0:
            raise WeightsError(self.file, "its pickle has more instructions than weights need", HINT)

    def damaged(self, cause: str) -> WeightsError:
        """Return the error for a pickle that PyTorch would not have written."""
        return WeightsError(self.file, f"damaged or truncated, {cause}", "fetch it again")

    def unknown(self, code: bytes) -> WeightsError:
        """Return the error for an instruction that weights do not need; INST names a class to call."""
        if code == b"i":
            return self.refused(self.line(), self.line())
        return self.damaged(f"its pickle has the instruction 0x{code.hex()}, of which weights have no need")

    def refused(self, module: str, name: str) -> WeightsError:
        """Return the error for a name outside the closed list."""
        text = "".join(c if c.isprintable() else "?" for c in f"{module}.{name}"[:MAX_TEXT])
        cause = f"refers to {text}, which is not a part of weights; nothing was executed"
        return WeightsError(self.file, cause, HINT)

    # The stack

    def pop(self, count: int) -> list[Any]:
        """Return the topmost values, lowest first; they must lie above the last mark."""
        rest = len(self.stack) - count
        if rest < (self.marks[-1] if self.marks else 0):
            raise self.damaged("its pickle takes values that are not there")
        values = self.stack[rest:]
        del self.stack[rest:]
        return values

    def pop_mark(self) -> list[Any]:
        """Return the values above the last mark, which goes."""
        if not self.marks:
            raise self.damaged("its pickle takes values that are not there")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, kind: type | None = None) -> Any:
        """Return the top of the stack, which stays; it must be of exactly this type, if one is given."""
        (value,) = self.pop(1)
        self.stack.append(value)
        if kind is not None and type(value) is not kind:
            raise self.damaged(f"its pickle fills something that is no {kind.__name__}")
        return value

    def whole(self, value: Any) -> Any:
        """Return the value; a name that was not called would be a tensor lost to damage."""
        if type(value) is Global and value.name not in self.values:
            raise self.damaged(f"its pickle names {value.name} without calling it")
        return value

    def tuple(self, values: list[Any]) -> tuple:
        """Return a tuple of the values."""
        return tuple(self.whole(value) for value in values)

    # Instructions

    def mark(self) -> None:
        """MARK."""
        self.marks.append(len(self.stack))

    def put(self, fmt: str) -> None:
        """BINPUT and LONG_BINPUT."""
        self.memo[self.number(fmt)] = self.top()

    def memoize(self) -> None:
        """MEMOIZE."""
        self.memo[len(self.memo)] = self.top()

    def extend(self, values: list[Any]) -> None:
        """APPEND and APPENDS."""
        self.top(list).extend(self.whole(value) for value in values)

    def update(self, values: list[Any]) -> None:
        """SETITEM and SETITEMS."""
        if len(values) % 2:
            raise self.damaged("its pickle has a key without a value")
        self.fill(self.top(dict), zip(values[::2], values[1::2], strict=True))

    def fill(self, mapping: dict, items: Any) -> None:
        """Put pairs into a dictionary."""
        for key, value in items:
            # Others may take for ever to hash (tuples of tuples of ...), or collide (huge integers).
            if type(key) is not str and not (type(key) is int and abs(key) < 1 << 60):
                raise WeightsError(self.file, f"has a key of type {type(key).__name__}, expected names", HINT)
            if key in mapping:
                raise self.damaged(f"has the name {str(key)[:80]!r} twice")
            mapping[key] = self.whole(value)

    def find(self, module: Any, name: Any) -> None:
        """GLOBAL and STACK_GLOBAL."""
        if type(module) is not str or type(name) is not str:
            raise self.damaged("its pickle has a name that is not text")
        if (module, name) not in self.names:
            raise self.refused(module, name)
        self.stack.append(Global(module, name))

    def build(self) -> None:
        """BUILD sets attributes: a state dict has `_metadata`, versions of modules, which are not needed."""
        (state,) = self.pop(1)
        if type(state) is not dict:
            raise self.damaged("its pickle sets attributes by something that is no dictionary")
        self.top(dict)

    def reduce(self) -> None:
        """REDUCE: not a call, but a note of what it would have returned."""
        function, args = self.pop(2)
        if type(function) is not Global or type(args) is not tuple:
            raise self.damaged("its pickle calls something that cannot be called")
        self.stack.append(self.call(function.name, args))

    def persistent(self) -> None:
        """BINPERSID refers to something outside of the pickle."""
        (found,) = self.pop(1)
        self.stack.append(self.outside(found))

    # What a subclass knows

    def call(self, name: str, args: tuple) -> Any:
        """Return what a call of a name in `names` would have made."""
        raise self.damaged(f"its pickle calls {name}")

    def outside(self, found: Any) -> Any:
        """Return what a persistent id stands for."""
        raise self.damaged("its pickle refers to something outside")


_OPERATIONS = {
    b"(": Unpickler.mark,
    b"q": lambda self: self.put("<B"),
    b"r": lambda self: self.put("<I"),
    b"\x94": Unpickler.memoize,
    b"\x95": lambda self: self.take(8),  # FRAME: a hint for reading ahead
    b"a": lambda self: self.extend(self.pop(1)),
    b"e": lambda self: self.extend(self.pop_mark()),
    b"s": lambda self: self.update(self.pop(2)),
    b"u": lambda self: self.update(self.pop_mark()),
    b"c": lambda self: self.find(self.line(), self.line()),
    b"\x93": lambda self: self.find(*self.pop(2)),
    b"R": Unpickler.reduce,
    b"b": Unpickler.build,
    b"Q": Unpickler.persistent,
}
