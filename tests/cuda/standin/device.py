"""The namespace `cupy.cuda`: the device, its memory, streams and events."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

from standin import memory
from standin.array import Pointer
from standin.compiler import CompileError
from standin.counts import counts

HANDLE = 0xC0B1A5
MESSAGES = {
    2: "cudaErrorMemoryAllocation: out of memory",
    35: "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version",
    100: "cudaErrorNoDevice: no CUDA-capable device is detected",
    101: "cudaErrorInvalidDevice: invalid device ordinal",
}


class CUDARuntimeError(RuntimeError):
    """The runtime's error."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(MESSAGES.get(status, f"cudaError{status}"))


class CUDADriverError(RuntimeError):
    """The driver refused a launch."""


class Settings:
    """What tests may set: how many devices there are, and what they say of themselves."""

    devices = 1
    name = b"stand-in"
    compute_capability = "90"
    mem_info: tuple[int, int] | None = None
    failure: BaseException | None = None  # raised by whatever asks for a device

    def reset(self) -> None:
        """Return to what stands above."""
        self.__dict__.clear()


settings = Settings()


def synchronize() -> None:
    """Wait for the GPU."""
    counts.synchronisations += 1


class Device:
    """A GPU; there is one."""

    def __init__(self, device: Any = None) -> None:
        self.id = 0 if device is None else int(getattr(device, "id", device))
        _check(self.id)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *args: Any) -> None:
        pass

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        """Make it the one that works."""

    def synchronize(self) -> None:
        """Wait for it."""
        synchronize()

    compute_capability = property(lambda self: settings.compute_capability)
    mem_info = property(lambda self: mem_get_info())
    cublas_handle = property(lambda self: HANDLE)
    pci_bus_id = property(lambda self: "0000:00:00.0")
    attributes = property(lambda self: {"MultiProcessorCount": 132, "WarpSize": 32})


def _check(device: int) -> None:
    if settings.failure is not None:
        raise settings.failure
    if not 0 <= device < settings.devices:
        raise CUDARuntimeError(101 if settings.devices else 100)


def device_count() -> int:
    """Return how many GPUs there are."""
    if settings.failure is not None:
        raise settings.failure
    if not settings.devices:
        raise CUDARuntimeError(100)
    return settings.devices


def mem_get_info() -> tuple[int, int]:
    """Return the free and all bytes."""
    return settings.mem_info or memory.state.free()


def properties(device: int) -> dict[str, Any]:
    """Return what the GPU says of itself."""
    _check(device)
    major, minor = settings.compute_capability[:-1], settings.compute_capability[-1]
    return {
        "name": settings.name, "major": int(major), "minor": int(minor), "multiProcessorCount": 132,
        "totalGlobalMem": mem_get_info()[1], "warpSize": 32, "maxThreadsPerBlock": 1024,
        "sharedMemPerBlock": 49152, "clockRate": 0, "l2CacheSize": 52428800,
    }  # fmt: skip


class Stream:
    """A queue of work; here all work is done at once."""

    null: Stream

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None) -> None:
        self.ptr = 0 if null else id(self)
        self.is_non_blocking, self.priority = non_blocking, priority or 0

    def __enter__(self) -> Stream:
        _current.append(self)
        return self

    def __exit__(self, *args: Any) -> None:
        _current.pop()

    done = property(lambda self: True)
    synchronize = staticmethod(synchronize)

    def use(self) -> Stream:
        """Make it the current one."""
        _current[-1] = self
        return self

    def record(self, event: Any = None) -> Event:
        """Record an event."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Any) -> None:
        """Let the stream wait; the program does not."""


Stream.null = Stream(null=True)
_current = [Stream.null]


class Event:
    """A point in a queue of work."""

    def __init__(self, block=False, disable_timing=False, interprocess=False) -> None:
        self.time = 0.0

    def record(self, stream: Any = None) -> None:
        """Take the time."""
        self.time = time.perf_counter()

    done = property(lambda self: True)
    synchronize = staticmethod(synchronize)


class MemoryPool:
    """CuPy's pool; this one keeps nothing back."""

    def __init__(self, allocator: Any = None) -> None:
        pass

    def used_bytes(self) -> int:
        """Return the bytes that arrays hold."""
        return memory.state.used

    total_bytes = used_bytes

    def free_bytes(self) -> int:
        """Return the bytes that are kept for later: none."""
        return 0

    n_free_blocks = free_bytes

    def free_all_blocks(self, stream: Any = None) -> None:
        """Give back what is kept for later."""

    def get_limit(self) -> int:
        """Return the limit, 0 for none."""
        return memory.state.limit or 0

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Set how much may be used."""
        if (size is None) == (fraction is None) and size is not None:
            raise ValueError("size and fraction cannot be specified at one time")
        limit = int(mem_get_info()[1] * fraction) if fraction is not None else size
        memory.state.limit = limit or None

    def malloc(self, size: int) -> Pointer:
        """Return memory."""
        import numpy as np

        block = memory.allocate((size,), np.dtype(np.uint8))[1]
        return Pointer(block, 0)


pool = MemoryPool()


def namespace(cublas: ModuleType) -> dict[str, ModuleType]:
    """Return `cupy.cuda` and its modules, by their full names."""

    def module(name: str, **values: Any) -> ModuleType:
        made = ModuleType(name)
        made.__dict__.update(values)
        return made

    runtime = module(
        "cupy.cuda.runtime", CUDARuntimeError=CUDARuntimeError, getDeviceCount=device_count, is_hip=False,
        getDeviceProperties=properties, memGetInfo=mem_get_info, runtimeGetVersion=lambda: 12090,
        driverGetVersion=lambda: 12090, deviceSynchronize=synchronize, getDevice=lambda: 0, setDevice=_check,
        streamSynchronize=lambda stream: synchronize(),
    )  # fmt: skip
    device = module("cupy.cuda.device", Device=Device, get_cublas_handle=lambda: HANDLE)
    device.get_compute_capability = lambda: settings.compute_capability
    found = {
        "cupy.cuda.runtime": runtime,
        "cupy.cuda.device": device,
        "cupy.cuda.memory": module(
            "cupy.cuda.memory",
            OutOfMemoryError=memory.OutOfMemoryError,
            MemoryPool=MemoryPool,
            MemoryPointer=Pointer,
        ),  # fmt: skip
        "cupy.cuda.compiler": module("cupy.cuda.compiler", CompileException=CompileError),
        "cupy.cuda.driver": module("cupy.cuda.driver", CUDADriverError=CUDADriverError),
        "cupy.cuda.stream": module("cupy.cuda.stream", Stream=Stream, Event=Event),
    }
    cuda = module(
        "cupy.cuda", Device=Device, Stream=Stream, Event=Event, MemoryPool=MemoryPool, MemoryPointer=Pointer,
        cublas=cublas, get_current_stream=lambda device_id=-1: _current[-1], get_device_id=lambda: 0,
        get_cublas_handle=lambda: HANDLE,
        is_available=lambda: settings.devices > 0 and settings.failure is None,
        get_elapsed_time=lambda start_event, end_event: 1000 * (end_event.time - start_event.time),
        alloc=pool.malloc, get_local_runtime_version=lambda: 12090,
        __path__=[],
    )  # fmt: skip
    for name, each in found.items():
        setattr(cuda, name.rpartition(".")[2], each)
    return found | {"cupy.cuda": cuda}
