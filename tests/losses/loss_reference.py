"""The losses as plain loops, and what all tests of losses share. The loops import nothing of the package.

Letters of the paper: F features of the image, P of the photograph, A a Gram matrix of the painting, N
channels, M positions.
"""

import numpy as np

STEP = 1e-30  # of complex steps; its square vanishes beside any number


def content_sum(x, p):
    """1/2 sum (F - P)^2, equation 1 of the paper."""
    return sum((x[index] - p[index]) ** 2 for index in np.ndindex(x.shape)) / 2


def content_mean(x, p):
    """Mean of (F - P)^2."""
    return sum((x[index] - p[index]) ** 2 for index in np.ndindex(x.shape)) / x.size


def gram_sums(image):
    """S_ij = sum_k F_ik F_jk of one image (H, W, N), equation 3 of the paper."""
    height, width, n = image.shape
    s = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        for h, w in np.ndindex(height, width):
            s[i, j] += image[h, w, i] * image[h, w, j]
    return s


def style_paper(x, a):
    """Sum over images of 1 / (4 N^2) sum_ij (S_ij / M - A_ij)^2: equation 4, each matrix over its own M."""
    value = 0.0
    for image in x:
        n, m = image.shape[2], image.shape[0] * image.shape[1]
        s = gram_sums(image)
        for index in np.ndindex(n, n):
            value += (s[index] / m - a[index]) ** 2 / (4 * n**2)
    return value


def style_mean(x, a):
    """Sum over images of the mean of (S_ij / (N M) - A_ij)^2 over all i, j."""
    value = 0.0
    for image in x:
        n, m = image.shape[2], image.shape[0] * image.shape[1]
        s = gram_sums(image)
        for index in np.ndindex(n, n):
            value += (s[index] / (n * m) - a[index]) ** 2 / n**2
    return value


def tv_absolute(x):
    """Absolute differences over all pairs of neighbours."""
    value = 0.0
    for n, h, w, c in np.ndindex(x.shape):
        if h + 1 < x.shape[1]:
            value += abs(x[n, h + 1, w, c] - x[n, h, w, c])
        if w + 1 < x.shape[2]:
            value += abs(x[n, h, w + 1, c] - x[n, h, w, c])
    return value


def tv_squared(x):
    """Half the squared differences, over the pixels that have a neighbour below and one on the right."""
    value = 0.0
    for n, h, w, c in np.ndindex(x.shape):
        if h + 1 < x.shape[1] and w + 1 < x.shape[2]:
            value += (x[n, h + 1, w, c] - x[n, h, w, c]) ** 2 / 2
            value += (x[n, h, w + 1, c] - x[n, h, w, c]) ** 2 / 2
    return value


def gradient_of(module, x):
    """Return a copy of dloss/dx at x."""
    module.update_output(x)
    return module.update_grad_input(x, np.zeros_like(x)).copy()


def assert_value(module, expected, x):
    """The module's loss at x is `expected`, up to the rounding of float64."""
    module.update_output(x)
    assert type(module.loss) is float
    assert abs(module.loss - expected) <= 1e-12 * abs(expected)


def assert_gradient(module, x, directions=5):
    """<dx, u> is the derivative of the loss along u, by complex step: exact to rounding."""
    dx = gradient_of(module, x)
    assert dx.shape == x.shape
    rng = np.random.default_rng(99)
    for _ in range(directions):
        u = rng.standard_normal(x.shape)
        module.update_output(x + 1j * STEP * u)
        slope = module.loss.imag / STEP
        assert abs(slope - np.sum(dx * u)) <= 1e-12 * np.sum(np.abs(dx * u))


def assert_every_element(module, x):
    """Each element of dx is the derivative with respect to that element of x."""
    dx = gradient_of(module, x)
    expected = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[index] += 1j * STEP
        module.update_output(moved)
        expected[index] = module.loss.imag / STEP
    assert np.linalg.norm(dx - expected) <= 1e-12 * np.linalg.norm(expected)
