"""The functions of the module, as lines of text; see `table`."""

from __future__ import annotations

from typing import Any

import numpy as np

from standin import adapters
from standin.table import Ufunc, host, make, new, several, shows, waiting

UFUNCS = """
abs absolute acos acosh add arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2
atanh bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not bitwise_or
bitwise_right_shift bitwise_xor cbrt ceil conj conjugate copysign cos cosh deg2rad degrees divide divmod
equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod frexp gcd greater greater_equal
heaviside hypot invert isfinite isinf isnan lcm ldexp left_shift less less_equal log log10 log1p log2
logaddexp logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum mod modf multiply
negative nextafter not_equal positive pow power rad2deg radians reciprocal remainder right_shift rint
sign signbit sin sinh sqrt square subtract tan tanh true_divide trunc
"""

REDUCTIONS = """
all(a: A, axis=None, out: O = None, keepdims=False)
amax(a: A, axis=None, out: O = None, keepdims=False)
amin(a: A, axis=None, out: O = None, keepdims=False)
any(a: A, axis=None, out: O = None, keepdims=False)
argmax(a: A, axis=None, dtype=None, out: O = None, keepdims=False)
argmin(a: A, axis=None, dtype=None, out: O = None, keepdims=False)
average(a: A, axis=None, weights: O = None, returned=False, *, keepdims=False)
count_nonzero(a: A, axis=None)
cumprod(a: A, axis=None, dtype=None, out: O = None)
cumsum(a: A, axis=None, dtype=None, out: O = None)
max(a: A, axis=None, out: O = None, keepdims=False)
mean(a: A, axis=None, dtype=None, out: O = None, keepdims=False)
median(a: A, axis=None, out: O = None, overwrite_input=False, keepdims=False)
min(a: A, axis=None, out: O = None, keepdims=False)
nanmax(a: A, axis=None, out: O = None, keepdims=False)
nanmin(a: A, axis=None, out: O = None, keepdims=False)
nansum(a: A, axis=None, dtype=None, out: O = None, keepdims=False)
prod(a: A, axis=None, dtype=None, out: O = None, keepdims=False)
ptp(a: A, axis=None, out: O = None, keepdims=False)
std(a: A, axis=None, dtype=None, out: O = None, ddof=0, keepdims=False)
sum(a: A, axis=None, dtype=None, out: O = None, keepdims=False)
trace(a: A, offset=0, axis1=0, axis2=1, dtype=None, out: O = None)
var(a: A, axis=None, dtype=None, out: O = None, ddof=0, keepdims=False)
"""

NEW = """
allclose(a: S, b: S, rtol=1e-05, atol=1e-08, equal_nan=False)
append(arr: A, values: S, axis=None)
arange(start, stop=None, step=1, dtype=None)
argpartition(a: A, kth, axis=-1)
argsort(a: A, axis=-1, kind=None)
around(a: A, decimals=0, out: O = None)
array_equal(a1: A, a2: A, equal_nan=False)
clip(a: A, a_min: S, a_max: S, out: O = None)
column_stack(tup: L)
concat(tup: L, axis=0, out: O = None, *, dtype=None, casting='same_kind')
concatenate(tup: L, axis=0, out: O = None, *, dtype=None, casting='same_kind')
copy(a: A, order='K')
cross(a: A, b: A, axisa=-1, axisb=-1, axisc=-1, axis=None)
diagflat(v: A, k=0)
diff(a: A, n=1, axis=-1, prepend: O = None, append: O = None)
dot(a: A, b: A, out: O = None)
eye(N, M=None, k=0, dtype=float, order='C')
flip(a: A, axis=None)
fliplr(a: A)
flipud(a: A)
full(shape, fill_value: S, dtype=None, order='C')
full_like(a: A, fill_value: S, dtype=None, order='K', subok=None, shape=None)
hstack(tup: L, *, dtype=None, casting='same_kind')
identity(n, dtype=float)
inner(a: A, b: A)
interp(x: A, xp: A, fp: A, left=None, right=None, period=None)
isclose(a: S, b: S, rtol=1e-05, atol=1e-08, equal_nan=False)
isin(element: A, test_elements: A, assume_unique=False, invert=False)
kron(a: A, b: A)
linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0)
logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0)
nan_to_num(x: A, copy=True, nan=0.0, posinf=None, neginf=None)
ones(shape, dtype=float, order='C')
ones_like(a: A, dtype=None, order='K', subok=None, shape=None)
outer(a: A, b: A, out: O = None)
partition(a: A, kth, axis=-1)
percentile(a: A, q: S, axis=None, out: O = None, overwrite_input=False, method='linear', keepdims=False)
quantile(a: A, q: S, axis=None, out: O = None, overwrite_input=False, method='linear', keepdims=False)
roll(a: A, shift, axis=None)
rot90(a: A, k=1, axes=(0, 1))
round(a: A, decimals=0, out: O = None)
searchsorted(a: A, v: A, side='left', sorter: O = None)
sort(a: A, axis=-1, kind=None)
stack(tup: L, axis=0, out: O = None, *, dtype=None, casting='same_kind')
take(a: A, indices: I, axis=None, out: O = None)
take_along_axis(a: A, indices: A, axis)
tensordot(a: A, b: A, axes=2)
tile(A: A, reps)
tri(N, M=None, k=0, dtype=float)
tril(m: A, k=0)
triu(m: A, k=0)
vdot(a: A, b: A)
vstack(tup: L, *, dtype=None, casting='same_kind')
zeros_like(a: A, dtype=None, order='K', subok=None, shape=None)
"""

VIEWS = """
atleast_1d(*arys)
atleast_2d(*arys)
atleast_3d(*arys)
broadcast_to(array: A, shape)
diag(v: A, k=0)
diagonal(a: A, offset=0, axis1=0, axis2=1)
expand_dims(a: A, axis)
imag(val: A)
matrix_transpose(x: A, /)
moveaxis(a: A, source, destination)
permute_dims(a: A, axes=None)
ravel(a: A, order='C')
real(val: A)
reshape(a: A, newshape, order='C', *, copy=None)
rollaxis(a: A, axis, start=0)
squeeze(a: A, axis=None)
swapaxes(a: A, axis1, axis2)
transpose(a: A, axes=None)
"""

SEVERAL = """
array_split(ary: A, indices_or_sections, axis=0)
hsplit(ary: A, indices_or_sections)
split(ary: A, indices_or_sections, axis=0)
vsplit(ary: A, indices_or_sections)
tril_indices(n, k=0, m=None)
triu_indices(n, k=0, m=None)
unravel_index(indices: A, dims, order='C')
"""

WAITING = """
argwhere(a: A)
bincount(x: A, weights: O = None, minlength=None)
compress(condition: A, a: A, axis=None, out: O = None)
extract(condition: A, a: A)
flatnonzero(a: A)
"""

WAITING_SEVERAL = """
histogram(x: A, bins=10, range=None, density=False, weights: O = None)
nonzero(a: A)
unique(ar: A, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True)
"""

HOST = """
iscomplexobj(x: S)
isrealobj(x: S)
may_share_memory(a: A, b: A, max_work=None)
ndim(a: S)
shape(a: S)
shares_memory(a: A, b: A, max_work=None)
size(a: S, axis=None)
"""

IN_PLACE = """
copyto(dst: A, src: S, casting='same_kind', where: O = None)
fill_diagonal(a: A, val: S, wrap=False)
put_along_axis(arr: A, indices: A, values: S, axis)
putmask(a: A, mask: A, values: A)
"""

LINALG = """
cholesky(a: A)
det(a: A)
eigvalsh(a: A, UPLO='L')
inv(a: A)
matrix_power(M: A, n)
norm(x: A, ord=None, axis=None, keepdims=False)
pinv(a: A, rcond=1e-15)
solve(a: A, b: A)
"""

LINALG_SEVERAL = """
eigh(a: A, UPLO='L')
qr(a: A, mode='reduced')
slogdet(a: A)
svd(a: A, full_matrices=True, compute_uv=True)
"""

FFT = """
fft(a: A, n=None, axis=-1, norm=None)
fft2(a: A, s=None, axes=(-2, -1), norm=None)
fftfreq(n, d=1.0)
fftn(a: A, s=None, axes=None, norm=None)
fftshift(x: A, axes=None)
ifft(a: A, n=None, axis=-1, norm=None)
ifft2(a: A, s=None, axes=(-2, -1), norm=None)
ifftn(a: A, s=None, axes=None, norm=None)
ifftshift(x: A, axes=None)
irfft(a: A, n=None, axis=-1, norm=None)
irfft2(a: A, s=None, axes=(-2, -1), norm=None)
rfft(a: A, n=None, axis=-1, norm=None)
rfft2(a: A, s=None, axes=(-2, -1), norm=None)
rfftfreq(n, d=1.0)
"""

TRICKS = """
as_strided(x: A, shape=None, strides=None)
sliding_window_view(x: A, window_shape, axis=None, *, subok=False, writeable=False)
"""

VALUES = """
bool bool_ byte cdouble complex128 complex64 complexfloating csingle double dtype e euler_gamma finfo
float16 float32 float64 floating generic half iinfo inexact inf int16 int32 int64 int8 int_ intc integer intp
isscalar issubdtype long longlong nan ndindex newaxis number pi promote_types s_ short signedinteger single
ubyte uint uint16 uint32 uint64 uint8 uintc uintp ulong ulonglong unsignedinteger ushort index_exp iterable
broadcast_shapes
"""


def numpys(module: Any) -> Any:
    """Return what finds a function by name: our adapter, or the module's own."""
    last = module.__name__.rpartition(".")[2]
    return lambda name: getattr(adapters, f"{last}_{name}", None) or getattr(module, name)


def table() -> dict[str, Any]:
    """Return everything of the module's top level that comes from NumPy."""
    found: dict[str, Any] = {name: Ufunc(name) for name in UFUNCS.split()}
    find = numpys(np)
    for lines, kind in (
        (REDUCTIONS, new), (NEW, new), (VIEWS, shows), (SEVERAL, several), (WAITING, waiting(new)),
        (WAITING_SEVERAL, waiting(several)), (HOST, host), (IN_PLACE, host),
    ):  # fmt: skip
        found |= make(lines, kind, find)
    found |= {name: getattr(np, name) for name in VALUES.split()}
    return found
