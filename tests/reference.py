"""The operations as plain loops over every index: what the kernels are held against.

Nothing here imports the package, nothing is fast, and everything can be read beside its definition. Letters
and axes are those of the package: images (N, H, W, C), convolution kernels (kh, kw, C / groups, O).
"""

import math

import numpy as np


def positions(size, k, s, p, d=1, ceil_mode=False):
    """Count the window positions along an axis by walking along it."""
    reach = d * (k - 1) + 1
    count = 0
    while count * s + reach <= size + 2 * p:
        count += 1
    end = (count - 1) * s + reach
    # one more may hang over the end: if something is left to see, and if it begins before the padding behind
    if ceil_mode and end < size + 2 * p and count * s < size + p:
        count += 1
    return count


def window(i, size, k, s, p, d=1):
    """List (kernel position, image position) of what window i sees of the image along an axis."""
    places = [(u, i * s + u * d - p) for u in range(k)]
    return [(u, h) for u, h in places if 0 <= h < size]


def conv_terms(x_shape, w_shape, stride, padding, dilation, groups):
    """Yield the indices in x, w and y of every product of a convolution: y[e] is the sum of x[a] w[b]."""
    n_images, height, width, _ = x_shape
    kh, kw, c_group, o_all = w_shape
    rows = positions(height, kh, stride[0], padding[0], dilation[0])
    columns = positions(width, kw, stride[1], padding[1], dilation[1])
    for n, i, j, o in np.ndindex(n_images, rows, columns, o_all):
        first_channel = o // (o_all // groups) * c_group
        for u, h in window(i, height, kh, stride[0], padding[0], dilation[0]):
            for v, w in window(j, width, kw, stride[1], padding[1], dilation[1]):
                for c in range(c_group):
                    yield (n, h, w, first_channel + c), (u, v, c, o), (n, i, j, o)


def conv(x, w, b, stride, padding, dilation, groups):
    """Return y of a convolution."""
    rows = positions(x.shape[1], w.shape[0], stride[0], padding[0], dilation[0])
    columns = positions(x.shape[2], w.shape[1], stride[1], padding[1], dilation[1])
    y = np.zeros((x.shape[0], rows, columns, w.shape[3]))
    for at_x, at_w, at_y in conv_terms(x.shape, w.shape, stride, padding, dilation, groups):
        y[at_y] += x[at_x] * w[at_w]
    if b is not None:
        for index in np.ndindex(y.shape):
            y[index] += b[index[3]]
    return y


def conv_dx(dy, w, x_shape, stride, padding, dilation, groups):
    """Return dx of a convolution."""
    dx = np.zeros(x_shape)
    for at_x, at_w, at_y in conv_terms(x_shape, w.shape, stride, padding, dilation, groups):
        dx[at_x] += dy[at_y] * w[at_w]
    return dx


def conv_dw(x, dy, w_shape, stride, padding, dilation, groups):
    """Return dw of a convolution."""
    dw = np.zeros(w_shape)
    for at_x, at_w, at_y in conv_terms(x.shape, w_shape, stride, padding, dilation, groups):
        dw[at_w] += x[at_x] * dy[at_y]
    return dw


def conv_db(dy):
    """Return db of a convolution, or of a linear layer."""
    db = np.zeros(dy.shape[-1])
    for index in np.ndindex(dy.shape):
        db[index[-1]] += dy[index]
    return db


def max_pool(x, k, stride, padding, dilation=(1, 1), ceil_mode=False):
    """Return y of a max-pool, and the winners u kw + v: the first of the largest, NaN larger than all."""
    n_images, height, width, channels = x.shape
    rows = positions(height, k[0], stride[0], padding[0], dilation[0], ceil_mode)
    columns = positions(width, k[1], stride[1], padding[1], dilation[1], ceil_mode)
    y = np.zeros((n_images, rows, columns, channels))
    winners = np.zeros(y.shape, int)
    for n, i, j, c in np.ndindex(y.shape):
        best, winner = None, None
        for u, h in window(i, height, k[0], stride[0], padding[0], dilation[0]):
            for v, w in window(j, width, k[1], stride[1], padding[1], dilation[1]):
                value = x[n, h, w, c]
                if best is None or value > best or (math.isnan(value) and not math.isnan(best)):
                    best, winner = value, u * k[1] + v
        y[n, i, j, c], winners[n, i, j, c] = best, winner
    return y, winners


def max_pool_dx(dy, winners, x_shape, k, stride, padding, dilation=(1, 1)):
    """Return dx of a max-pool: each dy goes to the winner."""
    dx = np.zeros(x_shape)
    for n, i, j, c in np.ndindex(dy.shape):
        u, v = divmod(int(winners[n, i, j, c]), k[1])
        h = i * stride[0] + u * dilation[0] - padding[0]
        w = j * stride[1] + v * dilation[1] - padding[1]
        dx[n, h, w, c] += dy[n, i, j, c]
    return dx


def area(i, size, k, s, p, count_include_pad):
    """Count the places of window i that an average counts along an axis."""
    if count_include_pad:
        return sum(-p <= i * s + u - p < size + p for u in range(k))
    return sum(0 <= i * s + u - p < size for u in range(k))


def avg_pool_terms(x_shape, k, stride, padding, ceil_mode, count_include_pad):
    """Yield the indices in x and y of every summand of an average pool, and its weight."""
    n_images, height, width, channels = x_shape
    rows = positions(height, k[0], stride[0], padding[0], 1, ceil_mode)
    columns = positions(width, k[1], stride[1], padding[1], 1, ceil_mode)
    for n, i, j, c in np.ndindex(n_images, rows, columns, channels):
        counted = area(i, height, k[0], stride[0], padding[0], count_include_pad)
        counted *= area(j, width, k[1], stride[1], padding[1], count_include_pad)
        for _, h in window(i, height, k[0], stride[0], padding[0]):
            for _, w in window(j, width, k[1], stride[1], padding[1]):
                yield (n, h, w, c), (n, i, j, c), 1 / counted


def avg_pool(x, k, stride, padding, ceil_mode=False, count_include_pad=True):
    """Return y of an average pool."""
    rows = positions(x.shape[1], k[0], stride[0], padding[0], 1, ceil_mode)
    columns = positions(x.shape[2], k[1], stride[1], padding[1], 1, ceil_mode)
    y = np.zeros((x.shape[0], rows, columns, x.shape[3]))
    for at_x, at_y, share in avg_pool_terms(x.shape, k, stride, padding, ceil_mode, count_include_pad):
        y[at_y] += x[at_x] * share
    return y


def avg_pool_dx(dy, x_shape, k, stride, padding, ceil_mode=False, count_include_pad=True):
    """Return dx of an average pool."""
    dx = np.zeros(x_shape)
    for at_x, at_y, share in avg_pool_terms(x_shape, k, stride, padding, ceil_mode, count_include_pad):
        dx[at_x] += dy[at_y] * share
    return dx


def linear(x, w, b):
    """Return y of a linear layer."""
    y = np.zeros((x.shape[0], w.shape[1]))
    for n, o in np.ndindex(y.shape):
        y[n, o] = sum(x[n, c] * w[c, o] for c in range(x.shape[1])) + (0 if b is None else b[o])
    return y


def linear_dx(dy, w):
    """Return dx of a linear layer."""
    dx = np.zeros((dy.shape[0], w.shape[0]))
    for n, c in np.ndindex(dx.shape):
        dx[n, c] = sum(dy[n, o] * w[c, o] for o in range(dy.shape[1]))
    return dx


def linear_dw(x, dy):
    """Return dw of a linear layer."""
    dw = np.zeros((x.shape[1], dy.shape[1]))
    for c, o in np.ndindex(dw.shape):
        dw[c, o] = sum(x[n, c] * dy[n, o] for n in range(x.shape[0]))
    return dw


def relu(x):
    """Return y of a ReLU; NaN stays."""
    y = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        y[index] = x[index] if x[index] > 0 or math.isnan(x[index]) else 0
    return y


def relu_dx(x, dy):
    """Return dx of a ReLU; its derivative at 0 is 0."""
    dx = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        dx[index] = dy[index] if x[index] > 0 else 0
    return dx


def softmax(x):
    """Return y of a softmax over the last axis."""
    y = np.zeros(x.shape)
    for index in np.ndindex(x.shape[:-1]):
        total = sum(math.exp(value) for value in x[index])
        y[index] = [math.exp(value) / total for value in x[index]]
    return y


def softmax_dx(x, dy):
    """Return dx of a softmax, from its Jacobian dy[a] / dx[b] = y[a] ((a == b) - y[b])."""
    y, dx = softmax(x), np.zeros(x.shape)
    channels = range(x.shape[-1])
    for index in np.ndindex(x.shape[:-1]):
        for b in channels:
            dx[index][b] = sum(dy[index][a] * y[index][a] * ((a == b) - y[index][b]) for a in channels)
    return dx


def log_softmax(x):
    """Return y of a log-softmax over the last axis."""
    y = np.zeros(x.shape)
    for index in np.ndindex(x.shape[:-1]):
        total = sum(math.exp(value) for value in x[index])
        y[index] = [value - math.log(total) for value in x[index]]
    return y


def log_softmax_dx(x, dy):
    """Return dx of a log-softmax, from its Jacobian dy[a] / dx[b] = (a == b) - softmax[b]."""
    y, dx = softmax(x), np.zeros(x.shape)
    channels = range(x.shape[-1])
    for index in np.ndindex(x.shape[:-1]):
        for b in channels:
            dx[index][b] = sum(dy[index][a] * ((a == b) - y[index][b]) for a in channels)
    return dx


def gram(f):
    """Return G (C, C) of features f (pixels, C): sums over pixels of products of channels, not normalised."""
    g = np.zeros((f.shape[1], f.shape[1]))
    for c, d in np.ndindex(g.shape):
        g[c, d] = sum(f[pixel, c] * f[pixel, d] for pixel in range(f.shape[0]))
    return g


def gram_df(f, dg):
    """Return df (pixels, C) of a Gram matrix, for any upstream dg, symmetric or not."""
    df = np.zeros(f.shape)
    for pixel, c in np.ndindex(f.shape):
        df[pixel, c] = sum((dg[c, d] + dg[d, c]) * f[pixel, d] for d in range(f.shape[1]))
    return df


def lrn(x, size, alpha, beta, k):
    """Local response normalisation over the channels that there are."""
    y = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        y[index] = x[index] / _lrn_sum(x[index[:-1]], index[-1], size, alpha, k) ** beta
    return y


def _lrn_sum(pixel, c, size, alpha, k):
    """K + alpha / size times the sum of squares around channel c of one pixel's channels."""
    total = 0.0
    for other in range(c - size // 2, c + (size - 1) // 2 + 1):
        if 0 <= other < len(pixel):
            total += pixel[other] ** 2
    return k + alpha / size * total


def lrn_dx(x, dy, size, alpha, beta, k):
    """Each channel's share in each channel of the same pixel, added up."""
    dx = np.zeros_like(x)
    for place in np.ndindex(x.shape[:-1]):
        pixel = x[place]
        for c in range(len(pixel)):  # of y
            s = _lrn_sum(pixel, c, size, alpha, k)
            dx[(*place, c)] += dy[(*place, c)] / s**beta
            for other in range(c - size // 2, c + (size - 1) // 2 + 1):
                if 0 <= other < len(pixel):
                    slope = -beta * s ** (-beta - 1) * alpha / size * 2 * pixel[other]
                    dx[(*place, other)] += dy[(*place, c)] * pixel[c] * slope
    return dx
