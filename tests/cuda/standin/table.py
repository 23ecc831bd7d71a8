"""Makes functions with CuPy's signatures out of lines of text, around functions of NumPy.

A line is a signature, `name(a: A, axis=None, out: O = None)`; the letters say what a parameter must be:

    A  an array of the GPU                  L  a sequence of arrays of the GPU
    S  such an array or a number            O  such an array or None, which is handed back
    I  such an array, an integer, or a list or tuple of integers

Others are handed on, but may not be arrays at all. Python itself then refuses unknown keywords.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

from standin.array import fresh, index, inside, ndarray, operand, shown, wrap
from standin.counts import counts


def sequence(values: Any) -> list[np.ndarray]:
    """Return the NumPy arrays inside a sequence of arrays of the GPU, or inside the rows of one."""
    return [inside(value) for value in values]


def indices(value: Any) -> Any:
    """Return indices for NumPy; a list goes over the bus."""
    if type(value) is ndarray:
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError("NumPy's indices were given to a function of the GPU")
    if isinstance(value, (list, tuple)):
        counts.sent(np.asarray(value).nbytes)
    return value


def plain(value: Any) -> Any:
    """Return a value that is no array."""
    if isinstance(value, (ndarray, np.ndarray)):
        raise TypeError(f"no array is taken here: {type(value)}")
    return value


def out_of(value: Any) -> np.ndarray | None:
    """Return the NumPy array inside `out`."""
    return None if value is None else inside(value)


# Under names that no parameter has.
UNWRAP = {"A": "_inside", "S": "_operand", "L": "_sequence", "I": "_indices", "O": "_out", None: "_plain"}


def new(function: Any, out: ndarray | None, args: tuple, kwargs: dict) -> ndarray:
    """Return a new array, or `out`."""
    if out is None:
        return fresh(function, *args, **kwargs)
    counts.launches += 1
    with np.errstate(all="ignore"):
        result = function(*args, **kwargs)
    if result is not out._a:
        raise AssertionError(f"{function.__name__} of the stand-in did not write to out")
    return out


def shows(function: Any, source: ndarray, args: tuple, kwargs: dict) -> ndarray:
    """Return a view of the first argument where NumPy gives one."""
    return shown(function(*args, **kwargs), source)


def several(function: Any, source: ndarray, args: tuple, kwargs: dict) -> Any:
    """Return several new arrays or views of the first argument, in NumPy's container."""
    counts.launches += 1
    with np.errstate(all="ignore"):
        results = function(*args, **kwargs)
    if not isinstance(results, (tuple, list)):
        return shown(results, source)
    kind = list if isinstance(results, list) else tuple
    arrays = [shown(each, source) for each in results]
    return kind(arrays)  # where NumPy gives names to the parts, CuPy does not


def host(function: Any, source: ndarray, args: tuple, kwargs: dict) -> Any:
    """Return what is known without the GPU, or None."""
    return function(*args, **kwargs)


def waiting(kind: Any) -> Any:
    """Return a kind of function that waits for the GPU: the size of its result depends on the values."""

    def call(function: Any, source: Any, args: tuple, kwargs: dict) -> Any:
        counts.synchronisations += 1
        return kind(function, source, args, kwargs)

    call.waits_for = kind
    return call


def make(lines: str, kind: Callable, targets: Any, method: bool = False) -> dict[str, Callable]:
    """Return functions by name, one for each signature in the text.

    Parameters
    ----------
    lines : str
        A signature a line. Lines without a bracket at the end go on in the next.
    kind : callable
        What becomes of the result: `new`, `shows`, `several`, `host`.
    targets : callable
        Called with the name: the function of NumPy that does the work.
    method : bool
        Whether the first parameter is `self`.
    """
    functions = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        head = ast.parse(f"def {line}: pass").body[0]
        target = targets(head.name)
        ready, given = [], []
        marked = {}
        every = [*head.args.posonlyargs, *head.args.args, *head.args.kwonlyargs]
        first_default = len(head.args.posonlyargs) + len(head.args.args) - len(head.args.defaults)
        for place, parameter in enumerate(every):
            mark = parameter.annotation.id if parameter.annotation else None
            parameter.annotation = None
            marked[parameter.arg] = mark
            value = f"{UNWRAP[mark]}({parameter.arg})"
            required = place < first_default
            (ready if required else given).append(value if required else f"{parameter.arg}={value}")
        if head.args.vararg:
            ready.append(f"*[_operand(each) for each in {head.args.vararg.arg}]")
        if getattr(kind, "waits_for", kind) is new:
            source = "out" if "out" in marked else "None"
        else:
            source = every[0].arg if every else "None"
        head.decorator_list = []
        signature = ast.unparse(head.args)
        text = (
            f"def {head.name}({signature}):\n"
            f"    return _kind(_target, {source}, ({''.join(each + ', ' for each in ready)}), "
            f"dict({', '.join(given)}))\n"
        )
        scope = {
            "__name__": __name__, "_kind": kind, "_target": target, "_inside": inside, "_operand": operand,
            "_sequence": sequence, "_indices": indices, "_out": out_of, "_plain": plain,
        }  # fmt: skip
        exec(text, scope)
        functions[head.name] = scope[head.name]
        functions[head.name].__qualname__ = ("ndarray." if method else "") + head.name
    return functions


class Ufunc:
    """An operation by elements, with CuPy's parameters."""

    def __init__(self, name: str, function: Any = None) -> None:
        self.__name__ = self.name = name
        self.function = function or getattr(np, name)
        self.nin, self.nout = self.function.nin, self.function.nout
        self.nargs = self.nin + self.nout

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.name}'>"

    def __call__(self, *args: Any, out: Any = None, casting: str = "same_kind", dtype: Any = None) -> Any:
        if len(args) == self.nin + 1 and out is None:
            *args, out = args
        if len(args) != self.nin:
            raise TypeError(f"{self.name} takes {self.nin} arrays, not {len(args)}")
        values = [each._a if type(each) is ndarray else operand(each) for each in args]
        counts.launches += 1
        with np.errstate(all="ignore"):
            if self.nout > 1:
                return tuple(wrap(each) for each in self.function(*values, casting=casting, dtype=dtype))
            if out is None:
                return wrap(self.function(*values, casting=casting, dtype=dtype))
            target = inside(out)
            shape = target.shape
            shapes = [getattr(each, "shape", ()) for each in values]
            if shape not in shapes and shape != np.broadcast_shapes(*shapes):
                raise ValueError("Out shape is mismatched")
            self.function(*values, out=target, casting=casting, dtype=dtype)
        return out

    def outer(self, A: ndarray, B: ndarray, **kwargs: Any) -> ndarray:
        """Return the operation on all pairs."""
        return self(A[(..., *(None,) * B.ndim)], B, **kwargs)

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False) -> ndarray:
        """Return the operation along an axis; CuPy has it for few."""
        if self.name not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        kwargs = {"axis": axis, "dtype": dtype, "out": out_of(out), "keepdims": keepdims}
        return new(self.function.reduce, out, (inside(array),), kwargs)

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        """Apply the operation in place, also where an index occurs again."""
        if self.name not in ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or"):
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        counts.launches += 1
        self.function.at(inside(a), index(indices, waits=False)[0], operand(b))
