"""The stand-ins for `cupy.RawModule` and `cupy.RawKernel`: CUDA text by g++, run thread by thread."""

from __future__ import annotations

import ctypes
import functools
import re
import struct
import threading
from typing import Any

import numpy as np

from standin import compiler
from standin.array import ndarray
from standin.counts import counts
from standin.device import CUDADriverError

REFUSED = ("__shared__", "__syncthreads", "__syncwarp", "__shfl", "__ballot", "__any_sync", "__all_sync",
           "cooperative_groups", "asm", "#include")  # fmt: skip
KNOWN = re.compile(r"-D\w+(=.*)?$|--?(std=c\+\+(11|14|17|20)|use_fast_math|fmad=(true|false)|lineinfo)$")
PACKED = {
    "b1": "?7x", "i1": "b7x", "u1": "B7x", "i2": "h6x", "u2": "H6x", "i4": "i4x", "u4": "I4x", "i8": "q",
    "u8": "Q", "f4": "f4x", "f8": "d",
}  # fmt: skip


def without_comments(code: str) -> str:
    """Return the text without comments; lines stay where they are."""
    pattern = r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/'
    return re.sub(
        pattern,
        lambda found: found[0] if found[0][0] == '"' else " " + "\n" * found[0].count("\n"),
        code,
        flags=re.DOTALL,
    )


class RawModule:
    """A text with kernels."""

    def __init__(
        self, code=None, *, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
        enable_cooperative_groups=False, name_expressions=None, jitify=None,
    ) -> None:  # fmt: skip
        if not isinstance(code, str) or not isinstance(options, tuple):
            raise TypeError("code must be a string and options a tuple")
        if path or backend != "nvrtc" or translate_cucomplex or enable_cooperative_groups or jitify:
            raise NotImplementedError("the stand-in compiles plain text for NVRTC alone")
        text = without_comments(code)
        for word in REFUSED:
            if re.search(rf"(?<!\w){re.escape(word)}", text):
                raise NotImplementedError(f"the stand-in runs threads one after the other: no {word}")
        for option in options:
            if not KNOWN.match(option):
                raise NotImplementedError(f"the stand-in does not know the option {option!r}")
        self.code, self.options, self.backend = code, options, backend
        self.name_expressions = tuple(name_expressions or ())
        self._text = text
        self._lock = threading.Lock()

    @functools.cached_property
    def _library(self) -> tuple[Any, list[str]]:
        """The library and the names in it, in order."""
        defines = tuple(option for option in self.options if option.startswith("-D"))
        plain = compiler.preprocess(self._text, defines)
        plain = re.sub(r"__launch_bounds__\s*\([^()]*\)", "", plain)
        plain = re.sub(r'extern\s+"C"\s*\{', "", plain) if 'extern "C" {' in plain else plain
        names = re.findall(r'extern\s+"C"[^(;{}]*?__global__[^(;{}]*?\bvoid\s+(\w+)\s*\(', plain)
        names = list(dict.fromkeys([*names, *self.name_expressions]))
        launchers = "".join(
            f"STANDIN_EXPORT const char *standin_signature_{place}() "
            f"{{ return standin::Kernel<&{name}>::signature(); }}\n"
            f"STANDIN_EXPORT void standin_launch_{place}"
            "(void **args, const unsigned *grid, const unsigned *block) "
            f"{{ standin::Kernel<&{name}>::launch(args, grid, block); }}\n"
            for place, name in enumerate(names)
        )
        return compiler.build(self.code + "\n" + launchers, defines), names

    def compile(self, log_stream: Any = None) -> None:
        """Compile now."""
        with self._lock:
            self._library  # noqa: B018

    def get_function(self, name: str) -> RawKernel:
        """Return a kernel by its name."""
        self.compile()
        library, names = self._library
        if name not in names:
            raise CUDADriverError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        return RawKernel._of(name, library, names.index(name))


class Parameter:
    """What a kernel wants in one place."""

    def __init__(self, kernel: str, place: int, code: str) -> None:
        self.who = f"{kernel}: argument {place + 1}"
        self.pointer = code.startswith("P")
        code = code.removeprefix("P")
        self.element, _, count = code.partition("x")
        self.align = 1
        if self.pointer:
            self.format = "Q"
            self.dtype = None if self.element == "v" else self._dtype(self.element)
            self.align = int(self.element[1:]) * int(count or 1) if self.dtype else 1
            if count == "3":
                self.align = int(self.element[1:])
        elif count or self.element not in PACKED:
            raise NotImplementedError(f"{self.who}: the stand-in passes no structures")
        else:
            self.format, self.dtype = PACKED[self.element], self._dtype(self.element)

    def _dtype(self, code: str) -> np.dtype:
        try:
            return np.dtype(code)
        except TypeError:
            raise NotImplementedError(f"{self.who}: the stand-in has no such type") from None

    def take(self, value: Any) -> Any:
        """Return what goes to the kernel: an address or a number.

        Raises
        ------
        TypeError
            If the types differ. CUDA would read the bytes as they are.
        """
        if self.pointer:
            if value is None:
                return 0
            if type(value) is not ndarray:
                raise TypeError(f"{self.who} is a pointer: an array of the GPU is needed, not {type(value)}")
            if self.dtype is not None and value.dtype != self.dtype:
                raise TypeError(f"{self.who} points to {self.dtype}, the array holds {value.dtype}")
            address = value._a.__array_interface__["data"][0]
            if address % self.align:
                raise CUDADriverError(f"{self.who}: misaligned address")
            return address
        if isinstance(value, np.generic):
            if value.dtype != self.dtype:
                raise TypeError(f"{self.who} is {self.dtype}, not {value.dtype}")
            return value.item()
        wanted = {bool: ("b1",), int: ("i8", "u8"), float: ("f8",)}.get(type(value))
        if wanted is None:
            raise TypeError(f"{self.who} is a number: {type(value)} is not taken")
        if self.element not in wanted:
            raise TypeError(f"{self.who} is {self.dtype}: say numpy.{self.dtype}({value})")
        return value


def extent(sizes: Any, limits: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return three numbers of blocks or threads."""
    if not isinstance(sizes, (tuple, list)) or not 1 <= len(sizes) <= 3:
        raise TypeError("grid and block are tuples of one to three integers")
    three = tuple(int(size.__index__()) for size in sizes) + (1,) * (3 - len(sizes))
    if any(not 1 <= size <= limit for size, limit in zip(three, limits, strict=True)):
        raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: invalid argument: {three}, at most {limits}")
    return three


class RawKernel:
    """One kernel."""

    def __init__(
        self, code, name, options=(), backend="nvrtc", translate_cucomplex=False, *,
        enable_cooperative_groups=False, jitify=None,
    ) -> None:  # fmt: skip
        module = RawModule(
            code, options=options, backend=backend, translate_cucomplex=translate_cucomplex,
            enable_cooperative_groups=enable_cooperative_groups, jitify=jitify,
        )  # fmt: skip
        self.__dict__.update(module.get_function(name).__dict__)

    @classmethod
    def _of(cls, name: str, library: Any, place: int) -> RawKernel:
        """Return the kernel at a place in a library."""
        kernel = cls.__new__(cls)
        kernel.name = name
        signature = getattr(library, f"standin_signature_{place}")
        signature.restype = ctypes.c_char_p
        codes = signature().decode().split()
        kernel._parameters = [Parameter(name, each, code) for each, code in enumerate(codes)]
        kernel._launch = getattr(library, f"standin_launch_{place}")
        kernel._launch.argtypes = [ctypes.c_void_p] * 3
        kernel._launch.restype = None
        kernel._struct = struct.Struct("<" + "".join(each.format for each in kernel._parameters))
        kernel._values = ctypes.create_string_buffer(max(8, kernel._struct.size))
        start = ctypes.addressof(kernel._values)
        slots = [start + 8 * each for each in range(len(codes))]
        kernel._addresses = (ctypes.c_void_p * max(1, len(codes)))(*slots)
        kernel._extents = (ctypes.c_uint * 6)()
        kernel._lock = threading.Lock()
        return kernel

    def compile(self, log_stream: Any = None) -> None:
        """Compile now: it is."""

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None) -> None:
        """Run the kernel for each thread of each block."""
        if not isinstance(args, (tuple, list)):
            raise TypeError("args is a tuple")
        if shared_mem:
            raise NotImplementedError("the stand-in has no shared memory")
        if len(args) != len(self._parameters):
            raise TypeError(f"{self.name} takes {len(self._parameters)} arguments, not {len(args)}")
        grid = extent(grid, (2**31 - 1, 65535, 65535))
        block = extent(block, (1024, 1024, 64))
        if block[0] * block[1] * block[2] > 1024:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: a block of {block} has more than 1024 threads")
        values = [parameter.take(value) for parameter, value in zip(self._parameters, args, strict=True)]
        counts.launches += 1
        with self._lock:
            self._struct.pack_into(self._values, 0, *values)
            self._extents[:] = (*grid, *block)
            extents = ctypes.addressof(self._extents)
            self._launch(ctypes.addressof(self._addresses), extents, extents + 12)
        for value in args:
            if type(value) is ndarray:
                value._memory.check_guards(self.name)
