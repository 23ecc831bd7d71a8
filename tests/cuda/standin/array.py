"""The stand-in for `cupy.ndarray`: NumPy's memory inside, CuPy's manners outside, and stricter."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from standin.counts import counts
from standin.memory import Memory, allocate

DTYPES = frozenset("?bBhHiIlLqQefdFD")  # what a GPU can hold
SCALARS = (bool, int, float, complex, np.generic)


class Pointer:
    """CuPy's MemoryPointer: where an array begins."""

    __slots__ = ("mem", "ptr")
    device_id = 0

    def __init__(self, mem: Memory, offset: int) -> None:
        self.mem, self.ptr = mem, mem.ptr + offset

    def __int__(self) -> int:
        return self.ptr


class Flags:
    """CuPy's flags of an array, which only can be read."""

    __slots__ = ("c_contiguous", "f_contiguous", "owndata")

    def __init__(self, array: ndarray) -> None:
        flags = array._a.flags
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.owndata = array._base is None

    @property
    def forc(self) -> bool:
        """Whether it is contiguous in one order or the other."""
        return self.c_contiguous or self.f_contiguous

    @property
    def fnc(self) -> bool:
        """Whether it is contiguous in Fortran's order alone."""
        return self.f_contiguous and not self.c_contiguous

    def __getitem__(self, name: str) -> bool:
        return getattr(self, name.lower())


class ndarray:
    """An array that pretends to live on a GPU."""

    __slots__ = ("__weakref__", "_a", "_base", "_memory")
    __array_priority__ = 100
    __hash__ = None

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
    ) -> None:
        shape = tuple(shape) if hasattr(shape, "__len__") else (operator.index(shape),)
        if memptr is None:
            if strides is not None:
                raise ValueError("the stand-in takes strides only with memptr")
            self._a, self._memory = allocate(shape, np.dtype(dtype), order)
        else:
            memory = memptr.mem
            self._a = np.ndarray(shape, dtype, memory.bytes(), memptr.ptr - memory.ptr, strides, order)
            self._memory = memory
        self._base = None

    def _address(self) -> int:
        return self._a.__array_interface__["data"][0]

    # What NumPy may ask

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy "
            "array explicitly."
        )

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(f"a NumPy function was applied to an array of the GPU: say xp.{function.__name__}")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        # A NumPy scalar on the left of an operator comes here too, and that is allowed; of a comparison it
        # comes as an array without axes (numpy issue 12142), and CuPy takes that for a number.
        if len(inputs) == 2 and type(inputs[1]) is ndarray and method == "__call__" and not kwargs:
            left = inputs[0]
            if isinstance(left, np.ndarray) and not left.ndim and ufunc.__name__ in COMPARISONS:
                left = left[()]
            if isinstance(left, np.generic) and ufunc.__name__ in OPERATORS.values():
                return fresh(ufunc, left, inputs[1]._a)
        if any(isinstance(each, np.ndarray) for each in inputs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        raise TypeError(f"a NumPy function was applied to an array of the GPU: say xp.{ufunc.__name__}")

    # What it is

    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    base = property(lambda self: self._base)
    flags = property(Flags)
    data = property(lambda self: Pointer(self._memory, self._address() - self._memory.ptr))
    T = property(lambda self: view(self._a.T, self))
    mT = property(lambda self: view(self._a.mT, self))

    @shape.setter
    def shape(self, shape: Any) -> None:
        if (changed := self._a.reshape(shape)).size and not np.may_share_memory(changed, self._a):
            raise AttributeError("incompatible shape")
        self._a = changed

    @property
    def real(self) -> ndarray:
        """The real part, a view."""
        return view(self._a.real, self)

    @real.setter
    def real(self, value: Any) -> None:
        self._a.real = operand(value)

    @property
    def imag(self) -> ndarray:
        """The imaginary part, a view, or zeros."""
        return view(self._a.imag, self) if self._a.dtype.kind == "c" else wrap(np.zeros_like(self._a))

    @imag.setter
    def imag(self, value: Any) -> None:
        self._a.imag = operand(value)

    @property
    def device(self) -> Any:
        """The GPU that it lives on."""
        from standin.device import Device

        return Device(0)

    # To the host: each of these waits

    def get(self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True):
        """Return a NumPy array with the same values."""
        counts.fetched(self._a.nbytes)
        if out is None:
            return self._a.copy(order)
        if not isinstance(out, np.ndarray) or out.dtype != self.dtype or out.shape != self.shape:
            raise TypeError("out: a NumPy array of the same dtype and shape is needed")
        np.copyto(out, self._a)
        return out

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self.get().item()

    def tolist(self) -> Any:
        """Return the elements as Python numbers in lists."""
        return self.get().tolist()

    def tobytes(self, order: str = "C") -> bytes:
        """Return the bytes of the elements."""
        return self.get().tobytes(order)

    def __bool__(self) -> bool:
        return bool(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get() if self.ndim else self.item(), spec)

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        """Copy a NumPy array into this one."""
        if not isinstance(arr, np.ndarray) or arr.dtype != self.dtype or arr.shape != self.shape:
            raise TypeError("set: a NumPy array of the same dtype and shape is needed")
        counts.sent(arr.nbytes)
        self._a[...] = arr

    # Items

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Any:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[place] for place in range(len(self._a)))

    def __getitem__(self, key: Any) -> ndarray:
        key, basic = index(key)
        counts.launches += not basic
        found = self._a[key]
        if not basic:
            return wrap(np.array(found, order="K") if getattr(found, "base", None) is not None else found)
        if type(found) is not np.ndarray:  # NumPy makes a scalar of it, CuPy a view of no axes
            found = self._a[(*key, ...)]
        return view(found, self)

    def __setitem__(self, key: Any, value: Any) -> None:
        counts.launches += 1
        self._a[index(key, waits=False)[0]] = operand(value)

    def __reduce__(self) -> tuple:
        return _sent, (self.get(),)

    def __copy__(self) -> ndarray:
        return wrap(self._a.copy())

    def __deepcopy__(self, memo: Any) -> ndarray:
        return wrap(self._a.copy())


def _sent(values: np.ndarray) -> ndarray:
    """Return an array that was pickled: by way of the host."""
    counts.sent(values.nbytes)
    return wrap(values.copy("K"))


def index(key: Any, waits: bool = True) -> tuple[tuple, bool]:
    """Return an index for NumPy as a tuple, and whether it only asks for a view.

    A mask waits when its elements are read: how many there are, only the GPU knows.
    """
    if type(key) is not tuple:
        key = (key,)
    basic, found = True, []
    for each in key:
        if type(each) is ndarray:
            basic = False
            if each._a.dtype.kind not in "biu":
                raise IndexError("arrays used as indices must be of integer or boolean type")
            counts.synchronisations += waits and each._a.dtype.kind == "b"
            each = each._a
        elif isinstance(each, np.ndarray):
            raise TypeError("an array of the GPU was indexed by a NumPy array: transfer the indices once")
        elif type(each) is list:
            basic = False
            each = np.asarray(each)
            counts.sent(each.nbytes)
        elif isinstance(each, (bool, np.bool_, float)):
            raise IndexError(f"the stand-in takes no index of type {type(each)}")
        found.append(each)
    return tuple(found), basic


def operand(value: Any) -> Any:
    """Return what NumPy can calculate with: the array inside, or a number."""
    if type(value) is ndarray:
        return value._a
    if isinstance(value, SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def inside(value: Any) -> np.ndarray:
    """Return the NumPy array inside an array of the GPU; nothing else is taken."""
    if type(value) is not ndarray:
        raise TypeError(f"an array of the GPU is needed: {type(value)}")
    return value._a


def wrap(result: Any) -> ndarray:
    """Return an array with memory of its own around NumPy's result of an operation."""
    if type(result) is not np.ndarray:
        result = np.asarray(result)
    if result.base is not None:
        result = result.copy("K")
    if result.dtype.char not in DTYPES:
        raise TypeError(f"Unsupported dtype {result.dtype}")
    array = _new(ndarray)
    array._a, array._base = result, None
    array._memory = Memory(result, result.__array_interface__["data"][0], result.nbytes, guarded=False)
    return array


def view(result: np.ndarray, source: ndarray) -> ndarray:
    """Return an array that shows the memory of another."""
    array = _new(ndarray)
    array._a, array._memory = result, source._memory
    array._base = source if source._base is None else source._base
    return array


def shown(result: Any, source: ndarray) -> ndarray:
    """Return an array around a result that may or may not be a view of another."""
    if type(result) is np.ndarray and result.size:
        memory = source._memory
        if 0 <= result.__array_interface__["data"][0] - memory.ptr < memory.size:
            return view(result, source)
    return wrap(result)


def fresh(function: Any, *args: Any, **kwargs: Any) -> ndarray:
    """Return a new array with what a function of NumPy makes of NumPy arrays; a GPU does not warn."""
    counts.launches += 1
    with np.errstate(all="ignore"):
        return wrap(function(*args, **kwargs))


_new = object.__new__

OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "lshift": "left_shift", "rshift": "right_shift", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "matmul": "matmul", "lt": "less", "le": "less_equal",
    "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip


COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


def _operators() -> None:
    """Give the class its operators."""

    def forward(function: Any) -> Any:
        return lambda self, other: fresh(function, self._a, operand(other))

    def backward(function: Any) -> Any:
        return lambda self, other: fresh(function, operand(other), self._a)

    def in_place(function: Any) -> Any:
        def method(self: ndarray, other: Any) -> ndarray:
            counts.launches += 1
            with np.errstate(all="ignore"):
                function(self._a, operand(other), out=self._a)
            return self

        return method

    for name, ufunc in OPERATORS.items():
        function = getattr(np, ufunc)
        setattr(ndarray, f"__{name}__", forward(function))
        if ufunc not in COMPARISONS:
            setattr(ndarray, f"__r{name}__", backward(function))
            if name != "matmul":  # CuPy has none: a @= b makes a new array
                setattr(ndarray, f"__i{name}__", in_place(function))
    for name, function in (
        ("neg", np.negative),
        ("pos", np.positive),
        ("abs", np.absolute),
        ("invert", np.invert),
    ):
        setattr(ndarray, f"__{name}__", lambda self, function=function: fresh(function, self._a))
    ndarray.__divmod__ = lambda self, other: (self // other, self % other)
    ndarray.__rdivmod__ = lambda self, other: (other // self, other % self)


_operators()
