"""The stand-ins for `cupy.ElementwiseKernel` and `cupy.ReductionKernel`, through g++."""

from __future__ import annotations

import ctypes
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from standin import compiler
from standin.array import SCALARS, inside, ndarray, view
from standin.counts import counts
from standin.special import empty

TYPES = {
    "float32": "float", "float64": "double", "int8": "signed char", "int16": "short", "int32": "int",
    "int64": "long long", "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned",
    "uint64": "unsigned long long", "bool": "bool",
}  # fmt: skip
CARRAY = Path(__file__).with_name("carray.h").read_text(encoding="utf-8")
REFUSED = re.compile(r"\b(__shared__|__sync\w+|__shfl\w+|threadIdx|blockIdx|return|goto)\b|#include")


class Param:
    """One parameter: `T x`, `raw float32 y`."""

    def __init__(self, text: str) -> None:
        *words, type_, self.name = text.split()
        self.raw = "raw" in words
        if set(words) - {"raw"} or not re.fullmatch(r"[A-Za-z]\w*", self.name) or self.name in ("i", "n"):
            raise ValueError(f"the parameter {text!r} is not understood")
        self.type = type_
        self.dtype = None
        if len(type_) > 1:
            self.dtype = np.dtype(type_)
            if self.dtype.name != type_:
                raise ValueError(f"Wrong type {type_}")


def parse(text: str) -> list[Param]:
    """Return the parameters of a list like "T x, float32 y"."""
    return [Param(each) for each in text.split(",") if each.strip()]


class Kernel:
    """What both kinds share: parameters, types, the call into the library."""

    def __init__(
        self, in_params: str, out_params: str, texts: tuple[str, ...], name: str, preamble: str
    ) -> None:
        self.ins, self.outs = parse(in_params), parse(out_params)
        self.nin, self.nout = len(self.ins), len(self.outs)
        self.nargs = self.nin + self.nout
        self.name, self.preamble = name, preamble
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(f"Invalid kernel name: {name}")
        self._built: dict[tuple, Any] = {}
        for text in texts:
            if found := REFUSED.search(text):
                raise NotImplementedError(f"{name}: the stand-in takes no {found[0]} here")

    def types(self, ins: list, outs: list) -> dict[str, np.dtype]:
        """Return the dtypes of the letters, from the arrays.

        Raises
        ------
        TypeError
            If an array is of another dtype than the parameter or another array, as CuPy does.
        """
        letters: dict[str, np.dtype] = {}
        for param, value in [*zip(self.outs, outs, strict=False), *zip(self.ins, ins, strict=True)]:
            if type(value) is not ndarray:
                continue
            wanted = param.dtype or letters.setdefault(param.type, value.dtype)
            if value.dtype != wanted:
                raise TypeError(f"Type is mismatched. {param.name} {value.dtype} {wanted}")
        for param in (*self.ins, *self.outs):
            if param.dtype is None and param.type not in letters:
                raise TypeError(f"{self.name}: no array says what {param.type} is")
        return letters

    def arguments(self, args: tuple, out: Any = None) -> tuple[list, list]:
        """Return the inputs and the outputs that were given."""
        if len(args) not in (self.nin, self.nargs):
            raise TypeError(f"Wrong number of arguments for {self.name!r}: {len(args)}")
        ins, outs = list(args[: self.nin]), list(args[self.nin :])
        if out is not None:
            if outs or self.nout != 1:
                raise ValueError("cannot specify 'out' as both a positional and keyword argument")
            outs = [out]
        for value in ins:
            if type(value) is not ndarray and not isinstance(value, SCALARS):
                raise TypeError(f"Unsupported type {type(value)}")
        for value in outs:
            if type(value) is not ndarray:
                raise TypeError("Output arguments must be cupy.ndarray")
        return ins, outs

    def typedefs(self, letters: dict[str, np.dtype]) -> str:
        """Return the letters as C++ types."""
        return "".join(f"typedef {self._ctype(dtype)} {letter};\n" for letter, dtype in letters.items())

    def _ctype(self, dtype: np.dtype) -> str:
        if dtype.name not in TYPES:
            raise NotImplementedError(f"{self.name}: the stand-in has no kernels for {dtype}")
        return TYPES[dtype.name]

    def ctype(self, param: Param) -> str:
        """Return the C++ type of a parameter."""
        return param.type if param.dtype is None else self._ctype(param.dtype)

    def pack(
        self, values: list, params: list[Param], letters: dict, shape: tuple[int, ...]
    ) -> tuple[list, list, list]:
        """Return the addresses of all values, the numbers that describe the arrays, and what must live on."""
        pointers, info, held = [], [], []
        for param, value in zip(params, values, strict=True):
            if type(value) is not ndarray:
                value = np.asarray(value).astype(param.dtype or letters[param.type])
                held.append(value)
                pointers.append(value.__array_interface__["data"][0])
                if not param.raw:
                    info.extend((0,) * len(shape))
                continue
            array = value._a
            pointers.append(array.__array_interface__["data"][0])
            if param.raw:
                info.extend((array.ndim, array.size, *array.shape, *array.strides))
            else:
                missing = len(shape) - array.ndim
                info.extend((0,) * missing)
                sizes = zip(array.shape, shape[missing:], array.strides, strict=True)
                info.extend(stride if size == full else 0 for size, full, stride in sizes)
        return pointers, info, held

    def run(self, function: Any, pointers: list, info: list, values: list) -> None:
        """Call the library, and look whether memory around the arrays was written."""
        counts.launches += 1
        bad = function((ctypes.c_void_p * len(pointers))(*pointers), (ctypes.c_longlong * len(info))(*info))
        if bad:
            raise RuntimeError(
                f"{self.name}: illegal memory access: an index of a raw array is out of its bounds"
            )
        for value in values:
            if type(value) is ndarray:
                value._memory.check_guards(self.name)

    def declare(self, params: list[Param], out: bool) -> tuple[str, str]:
        """Return C++ that reads the description of parameters, and that makes their variables in the loop."""
        before, inside_ = "", ""
        for param in params:
            ctype, name = self.ctype(param), param.name
            if param.raw:
                before += f"    standin::CArray<{ctype}> {name}(*pointers++, info, &bad);\n"
            else:
                before += f"    char *_data_{name} = (char *)*pointers++;\n"
                before += f"    const long long *_stride_{name} = info; info += _ndim;\n"
                const, reference = ("", "&") if out else ("const ", "&")
                inside_ += (
                    f"        {const}{ctype} {reference}{name} = "
                    f"*({ctype} *)(_data_{name} + _walk.offset(_stride_{name}));\n"
                )
        return before, inside_


def function(text: str) -> Any:
    """Return the compiled function of a text."""
    found = compiler.build(CARRAY + text).standin_run
    found.argtypes, found.restype = [ctypes.c_void_p, ctypes.c_void_p], ctypes.c_int
    return found


def apart(value: Any, outs: list) -> Any:
    """Return an input, copied if it lies across an output: CuPy does that too."""
    if type(value) is ndarray:
        for out in outs:
            a, b = value._a, out._a
            same = a.strides == b.strides and a.shape == b.shape and value.data.ptr == out.data.ptr
            if not same and np.may_share_memory(a, b):
                return value.copy()
    return value


class ElementwiseKernel(Kernel):
    """An operation by elements of our own."""

    def __init__(
        self, in_params, out_params, operation, name="kernel", reduce_dims=True, preamble="", no_return=False,
        return_tuple=False, *, options=(), loop_prep="", after_loop="",
    ) -> None:  # fmt: skip
        if loop_prep or after_loop or options:
            raise NotImplementedError("the stand-in takes no options, loop_prep and after_loop")
        super().__init__(in_params, out_params, (operation,), name, preamble)
        self.operation, self.no_return, self.return_tuple = operation, no_return, return_tuple

    def __call__(self, *args: Any, size: int | None = None, stream: Any = None, block_size: int = 128) -> Any:
        """Apply it."""
        ins, outs = self.arguments(args)
        letters = self.types(ins, outs)
        params = [*self.ins, *self.outs]
        shapes = [
            value.shape
            for param, value in zip(params, [*ins, *outs], strict=False)
            if type(value) is ndarray and not param.raw
        ]
        if size is not None and shapes:
            raise ValueError("Specified 'size' can be used only if all of the ndarray are 'raw'.")
        if size is None and not shapes:
            raise ValueError("Loop size is undecided.")
        shape = np.broadcast_shapes(*shapes) if size is None else (int(size),)
        if not outs:
            if any(param.raw for param in self.outs):
                raise ValueError("Output array size is undecided")
            outs = [empty(shape, param.dtype or letters[param.type]) for param in self.outs]
        for param, out in zip(self.outs, outs, strict=True):
            if not param.raw and out.shape != shape:
                raise ValueError("Out shape is mismatched")
        ins = [apart(value, outs) for value in ins]
        key = tuple(letters.items())
        if key not in self._built:
            self._built[key] = function(self._text(letters))
        values = [*ins, *outs]
        pointers, info, held = self.pack(values, params, letters, shape)
        self.run(self._built[key], pointers, [math.prod(shape), len(shape), *shape, *info], values)
        del held
        if self.no_return:
            return None
        return outs[0] if self.nout == 1 and not self.return_tuple else tuple(outs)

    def _text(self, letters: dict[str, np.dtype]) -> str:
        """Return the C++ for some dtypes."""
        before_in, inside_in = self.declare(self.ins, out=False)
        before_out, inside_out = self.declare(self.outs, out=True)
        return (
            f"{self.typedefs(letters)}{self.preamble}\n"
            "STANDIN_EXPORT int standin_run(void **pointers, const long long *info) {\n"
            "    int bad = 0;\n    const long long n = info[0], _ndim = info[1], *_shape = info + 2;\n"
            f"    info += 2 + _ndim;\n{before_in}{before_out}"
            "    standin::Indexer _ind(n, _ndim, _shape);\n"
            "    for (standin::Walk _walk(_ndim, _shape); _walk.place < n; _walk.next()) {\n"
            "        const ptrdiff_t i = _walk.place; _ind.set(i);\n"
            f"{inside_in}{inside_out}        {self.operation};\n    }}\n    return bad;\n}}\n"
        )


class ReductionKernel(Kernel):
    """A reduction of our own."""

    def __init__(
        self, in_params, out_params, map_expr, reduce_expr, post_map_expr, identity, name="reduce_kernel",
        reduce_type=None, reduce_dims=True, preamble="", options=(),
    ) -> None:  # fmt: skip
        texts = (map_expr, reduce_expr, post_map_expr)
        if options:
            raise NotImplementedError("the stand-in takes no options")
        if not identity and identity != 0:
            raise NotImplementedError("the stand-in wants an identity")
        super().__init__(in_params, out_params, texts, name, preamble)
        if any(param.raw for param in self.outs):
            raise NotImplementedError("the stand-in takes no raw outputs of a reduction")
        self.map_expr, self.reduce_expr, self.post_map_expr = texts
        self.identity, self.reduce_type = identity, reduce_type

    def __call__(
        self, *args: Any, out: Any = None, axis: Any = None, keepdims: bool = False, stream: Any = None
    ) -> Any:
        """Reduce along an axis, or all."""
        ins, outs = self.arguments(args, out)
        letters = self.types(ins, outs)
        shapes = [
            value.shape
            for param, value in zip(self.ins, ins, strict=True)
            if type(value) is ndarray and not param.raw
        ]
        if not shapes:
            raise ValueError("Loop size is undecided.")
        full = np.broadcast_shapes(*shapes)
        axes = range(len(full)) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
        axes = sorted(np.lib.array_utils.normalize_axis_tuple(tuple(axes), len(full)))
        kept = [each for each in range(len(full)) if each not in axes]
        shape = tuple(full[each] for each in kept)
        given = tuple(1 if each in axes else size for each, size in enumerate(full)) if keepdims else shape
        if not outs:
            outs = [empty(given, param.dtype or letters[param.type]) for param in self.outs]
        if any(out.shape != given for out in outs):
            raise ValueError("Out shape is mismatched")
        # The axes that stay come first, those that go after them; the outputs are read without the latter.
        moved = [
            self._moved(value, full, (*kept, *axes)) if type(value) is ndarray and not param.raw else value
            for param, value in zip(self.ins, ins, strict=True)
        ]
        whole = tuple(full[each] for each in (*kept, *axes))
        flat = [view(inside(out).reshape(shape, copy=False), out) for out in outs]
        key = tuple(letters.items())
        if key not in self._built:
            self._built[key] = function(self._text(letters))
        pointers, info, held = self.pack(moved, self.ins, letters, whole)
        out_pointers, out_info, _ = self.pack(flat, self.outs, letters, shape)
        head = [math.prod(shape), math.prod(full[each] for each in axes), len(shape), len(whole), *whole]
        self.run(self._built[key], pointers + out_pointers, [*head, *info, *out_info], [*ins, *outs])
        del held
        return outs[0] if self.nout == 1 else tuple(outs)

    @staticmethod
    def _moved(value: ndarray, full: tuple[int, ...], axes: tuple[int, ...]) -> ndarray:
        """Return an input at its full shape, with its axes in another order."""
        return view(np.broadcast_to(value._a, full).transpose(axes), value)

    def _text(self, letters: dict[str, np.dtype]) -> str:
        """Return the C++ for some dtypes: partial results, as the threads of a block make them, then one."""
        before_in, inside_in = self.declare(self.ins, out=False)
        before_out, inside_out = self.declare(self.outs, out=True)
        before_out = before_out.replace("info += _ndim;", "info += _kept;")
        inside_out = inside_out.replace("_walk.", "_outer.")
        reduce_type = self.reduce_type or self.ctype(self.outs[0])
        return (
            f"{self.typedefs(letters)}{self.preamble}\n"
            f"typedef {reduce_type} _type_reduce;\n"
            f"#define REDUCE(a, b) ({self.reduce_expr})\n#define POST_MAP(a) ({self.post_map_expr})\n"
            "STANDIN_EXPORT int standin_run(void **pointers, const long long *info) {\n"
            "    int bad = 0;\n    const long long _outputs = info[0], _inputs = info[1], _kept = info[2];\n"
            "    const long long _ndim = info[3], *_shape = info + 4;\n"
            f"    info += 4 + _ndim;\n{before_in}{before_out}"
            "    standin::Indexer _in_ind(_outputs * _inputs, _ndim, _shape);\n"
            "    standin::Indexer _out_ind(_outputs, _kept, _shape);\n"
            "    standin::Walk _walk(_ndim, _shape);\n"
            "    for (standin::Walk _outer(_kept, _shape); _outer.place < _outputs; _outer.next()) {\n"
            "        const long long _lanes = _inputs < 256 ? (_inputs < 1 ? 1 : _inputs) : 256;\n"
            "        _type_reduce _part[256];\n"
            f"        for (int _t = 0; _t < _lanes; ++_t) _part[_t] = _type_reduce({self.identity});\n"
            "        for (long long _k = 0; _k < _inputs; ++_k, _walk.next()) {\n"
            "            const ptrdiff_t _j = _walk.place, _i = _outer.place; _in_ind.set(_j); (void)_i;\n"
            f"{inside_in}"
            f"            const _type_reduce _a = static_cast<_type_reduce>({self.map_expr});\n"
            "            _part[_k % _lanes] = REDUCE(_part[_k % _lanes], _a);\n        }\n"
            "        for (long long _m = _lanes; _m > 1;) {\n"
            "            const long long _half = (_m + 1) / 2;\n"
            "            for (long long _t = 0; _t + _half < _m; ++_t)\n"
            "                _part[_t] = REDUCE(_part[_t], _part[_t + _half]);\n"
            "            _m = _half;\n        }\n"
            f"        const ptrdiff_t _i = _outer.place; _out_ind.set(_i);\n{inside_out}"
            "        POST_MAP(_part[0]);\n    }\n    return bad;\n}\n"
        )
