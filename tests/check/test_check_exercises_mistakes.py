"""The exercises: wrong solutions, as students write them, are told what is wrong."""

from __future__ import annotations

import sys

import pytest

from nst_manual.check.exercises import course
from nst_manual.check.exercises.report import Finding, Report
from nst_manual.check.exercises.worker import events

STYLE = """
def matrices(x, style):
    C = x.shape[3]
    F, P = x.reshape(-1, C), style.reshape(-1, C)
    return F, P, F.T @ F, P.T @ P

def style_loss(x, style):
    F, P, G, A = matrices(x, style)
    return np.sum((G - A) ** 2) / (4 * F.size**2)

def style_gradient(x, style):
    F, P, G, A = matrices(x, style)
    M, C = F.shape
    {}
"""
CONTENT = "def content_loss(x, target):\n    return {}\ndef content_gradient(x, target):\n    return {}\n"
RELU = "def relu_forward(x):\n    return np.maximum(x, 0)\ndef relu_backward(x, dy):\n    return {}\n"
CONV = """
def conv_backward(dy, w, x_shape, stride, padding):
    n, h, k, c = x_shape
    kh, kw = w.shape[:2]
    spread = np.zeros((n, h + 2 * padding + kh - 1, k + 2 * padding + kw - 1, w.shape[3]))
    rows, columns = dy.shape[1:3]
    spread[:, kh - 1 :: stride, kw - 1 :: stride][:, :rows, :columns] = dy
    dx = np.zeros((n, h + 2 * padding, k + 2 * padding, c))
    for u in range(kh):
        for v in range(kw):
            seen = spread[:, u : u + dx.shape[1], v : v + dx.shape[2]]
            dx += seen @ w[{}].T
    return dx[:, padding : padding + h, padding : padding + k]
"""
POOL = """
def max_pool_backward(x, dy, k, stride):
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(*dy.shape):
        at = n, slice(i * stride, i * stride + k), slice(j * stride, j * stride + k), c
        {}
    return dx
"""
MODULE = """
class ContentLoss:
    def __init__(self, target, weight):
        self.target, self.weight = target, weight
    def forward(self, x):
        self.loss = self.weight / 2 * np.sum((x - self.target) ** 2)
        return x
    def backward(self, x, dy):
        {}
"""
DESCENT = """
def gradient_descent(f, x, steps, rate):
    losses = []
    for _ in range(steps):
        {}
    return losses, x
"""
LBFGS = """
def lbfgs_direction(g, s, y):
    q, a = g.copy(), []
    for i in {first}:
        a.append((s[i] @ q) / (s[i] @ y[i]))
        q = q - a[-1] * y[i]
    {scale}
    for i in range(len(s)):
        q = q + (a[{at}] - (y[i] @ q) / (s[i] @ y[i])) * s[i]
    return {sign}q
"""
BACK, SCALE = "reversed(range(len(s)))", "q = q * (s[-1] @ y[-1]) / (y[-1] @ y[-1]) if s else q"
TV = """
def tv_loss(x):
    return np.abs(np.diff(x, axis=1)).sum() + np.abs(np.diff(x, axis=2)).sum()

def tv_gradient(x):
    {}
"""


def check(tmp_path, monkeypatch, name, body):
    """Return the report of a solution, made in this process."""
    path = tmp_path / "mine.py"
    path.write_text(body if "import numpy" in body else f"import numpy as np\n{body}", encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = [event["finding"] for event in events(name, str(path)) if "finding" in event]
    return Report(name, str(path), [Finding(**finding) for finding in found])


MISTAKES = [
    # the six: style scale missing, style scale wrong, target's features, shape, (sum d)^2, unturned kernel
    ("style-gradient", STYLE.format("return (F @ (G - A)).reshape(x.shape)"), "1 / (C^2 M^2) is missing"),
    (
        "style-gradient",
        STYLE.format("return 4 * (F @ (G - A)).reshape(x.shape) / (C * M) ** 2"),
        "the scale is 4 / (C^2 M^2)",
    ),
    (
        "style-gradient",
        STYLE.format("return (F @ (G - A)).reshape(x.shape) / (2 * C**2 * M**2)"),
        "the scale is 1 / (2 C^2 M^2)",
    ),
    (
        "style-gradient",
        STYLE.format("return (F @ (G - A)).reshape(x.shape) / M"),
        "the scale is 1 / M, it is to be 1 / (C^2 M^2)",
    ),
    (
        "style-gradient",
        STYLE.format("return (P @ (G - A)).reshape(x.shape) / (C * M) ** 2"),
        "the painting's features stand in front",
    ),
    (
        "style-gradient",
        STYLE.format("return (P @ (G - A)).reshape(x.shape)"),
        "the painting's features stand in front, P (G - A): the derivative is with respect to x, F (G - A); "
        "and the scale 1 / (C^2 M^2) is missing",
    ),
    ("style-gradient", STYLE.format("return (G - A) / (C * M) ** 2"), "this is the shape of G - A"),
    ("style-gradient", STYLE.format("return (F @ (G - A)).T / (C * M) ** 2"), "right but transposed"),
    ("style-gradient", STYLE.format("return F @ (G - A) / (C * M) ** 2"), ".reshape(1, 5, 7, 3)"),
    (
        "style-gradient",
        STYLE.format("return (F @ (A - G)).reshape(x.shape) / F.size ** 2"),
        "other way round",
    ),
    ("content-gradient", CONTENT.format("np.sum(x - target) ** 2 / 2", "x - target"), "square of the sum"),
    ("content-gradient", CONTENT.format("np.sum(x - target) ** 2", "x - target"), "square of the sum"),
    ("conv-backward", CONV.format("u, v"), "the kernel is not turned by 180 degrees"),
    ("conv-backward", CONV.format("kh - 1 - u, v"), "turned in its rows alone"),
    # others
    (
        "content-gradient",
        CONTENT.format("np.sum((x - target) ** 2) / 2", "2 * (x - target)"),
        "1/2 of the loss",
    ),
    ("content-gradient", CONTENT.format("np.mean((x - target) ** 2)", "x - target"), "mean of the squares"),
    (
        "content-gradient",
        CONTENT.format("np.sum((x - target) ** 2) / 2", "np.where(x < 0, 0, x - target)"),
        "the paper's equation 2",
    ),
    ("relu", RELU.format("dy * (x >= 0)"), "x > 0, not x >= 0"),
    ("relu", RELU.format("dy * (dy > 0)"), "the mask is made of dy"),
    (
        "max-pool-backward",
        POOL.format("dx[at] += dy[n, i, j, c] * (x[at] == x[at].max())"),
        "all get the whole",
    ),
    (
        "max-pool-backward",
        POOL.format("w = dx[at]; w[np.unravel_index(x[at].argmax(), (k, k))] = dy[n, i, j, c]"),
        "add to dx (+=)",
    ),
    ("loss-module", MODULE.format("return self.weight * (x - self.target)"), "takes the place of dy"),
    ("loss-module", MODULE.format("return dy"), "only dy passes"),
    ("loss-module", MODULE.format("return dy + x - self.target"), "in the loss and not in the gradient"),
    ("loss-module", MODULE.format("dy += self.weight * (x - self.target); return dy"), "dy is overwritten"),
    ("gradient-descent", DESCENT.format("l, d = f(x); losses.append(l); x -= rate * d"), "x is overwritten"),
    ("gradient-descent", DESCENT.format("l, d = f(x); losses.append(l); x = x + rate * d"), "uphill"),
    (
        "gradient-descent",
        DESCENT.format("_, d = f(x); x = x - rate * d; losses.append(f(x)[0])"),
        "losses after each step",
    ),
    (
        "lbfgs-direction",
        LBFGS.format(first=BACK, scale=SCALE, at="-1 - i", sign=""),
        "the direction goes down",
    ),
    (
        "lbfgs-direction",
        LBFGS.format(first=BACK, scale="", at="-1 - i", sign="-"),
        "between the loops is missing",
    ),
    ("lbfgs-direction", LBFGS.format(first=BACK, scale=SCALE, at="i", sign="-"), "taken from the back"),
    (
        "lbfgs-direction",
        LBFGS.format(first="range(len(s))", scale=SCALE, at="i", sign="-"),
        "the first loop goes from the oldest",
    ),
    ("gram", "def gram(x):\n    return np.einsum('nijc,nijd->ncd', x, x) / x[0, ..., 0].size", "positions M"),
    ("gram", "def gram(x):\n    F = x.reshape(-1, x.shape[3])\n    return F @ F.T", "F F^T"),
    (
        "gram",
        "def gram(x):\n    F = x.reshape(len(x), x.shape[3], -1)\n    return F @ F.transpose(0, 2, 1)",
        "channels are mixed up",
    ),
    (
        "gram",
        "def gram(x):\n    F = x.reshape(-1, x.shape[3])\n    return (F.T @ F)[None]",
        "each has its own",
    ),
    (
        "total-variation",
        TV.format(
            "return sum(np.sign(x - np.roll(x, 1, a)) - np.sign(np.roll(x, -1, a) - x) for a in (1, 2))"
        ),
        "closed to a ring",
    ),
    (
        "total-variation",
        TV.format(
            "dx = 0 * x; dx[:, 1:] += np.sign(np.diff(x, axis=1)); "
            "dx[:, :, 1:] += np.sign(np.diff(x, axis=2)); return dx"
        ),
        "at its second pixel alone",
    ),
    (
        "conv-forward",
        "def conv_forward(x, w, b, stride, padding):\n"
        "    x = np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))\n"
        "    seen = np.lib.stride_tricks.sliding_window_view(x, w.shape[:2], (1, 2))\n"
        "    return np.einsum('nijcuv,uvco->nijo', seen, w)[:, ::stride, ::stride]",
        "the bias is missing",
    ),
]


@pytest.mark.parametrize(("name", "body", "said"), MISTAKES)
def test_the_mistake_is_named(tmp_path, monkeypatch, name, body, said):
    report = check(tmp_path, monkeypatch, name, body)
    assert not report.passed
    first = next(finding for finding in report.findings if not finding.passed)
    assert said in first.cause or said in first.problem, "\n".join(report.lines())
    # what else is wrong of it has no other reason
    assert said in " ".join(" ".join(report.lines()).split())


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "it is None: is a `return` missing?"),
        ("(dy * (x > 0)).tolist()", "it is a list of length 1, expected an array of shape (1, 4, 5, 3)"),
        ("(dy * (x > 0)).astype(np.float32)", "its numbers are float32, expected float64"),
        ("(dy * (x > 0)).astype(int)", "its numbers are int64, expected float64"),
        ("(dy * (x > 0))[0]", "shape (4, 5, 3), expected (1, 4, 5, 3)"),
        ("dy * np.where(x > 0, 1, np.nan)", "NaN or infinite"),
        ("(dy.astype(np.float32) * (x > 0)).astype(float)", "digits of float32"),
        ("'done'", "it is a str, expected an array"),
        ("3.0", "it is the number 3.0, expected an array"),
        ("x.__imul__(2) * 0 + dy * (x > 0)", "x is overwritten: work on a copy"),
    ],
)
def test_what_is_no_result(tmp_path, monkeypatch, returned, said):
    report = check(tmp_path, monkeypatch, "relu", RELU.format(returned))
    failures = [finding for finding in report.findings if not finding.passed]
    assert {finding.function for finding in failures} == {"relu_backward"}
    assert said in failures[0].problem + failures[0].cause


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "it is None"),
        ("(x - target) ** 2 / 2", "it is an array of shape (1, 4, 6, 3), expected a number"),
        ("float('nan')", "it is nan, expected"),
        ("'1'", "it is a str, expected a number"),
        ("True", "it is the number True, expected a number"),
    ],
)
def test_what_is_no_number(tmp_path, monkeypatch, returned, said):
    report = check(tmp_path, monkeypatch, "content-gradient", CONTENT.format(returned, "x - target"))
    assert said in report.findings[0].problem


@pytest.mark.parametrize("name", course.NAMES)
def test_the_file_that_it_starts_with_says_what_is_to_be_written(tmp_path, monkeypatch, name):
    text = course.template(name, "mine.py")
    assert "exercise check mine.py" in text
    report = check(tmp_path, monkeypatch, name, text)
    assert course.exercise_of(report.path) == name
    assert not report.passed
    assert all("not written yet" in finding.problem for finding in report.findings)
    assert {f.function for f in report.findings} == {case.function for case in course.load(name).cases()}


def test_where_it_is_wrong_is_said(tmp_path, monkeypatch):
    body = RELU.format("dy * (x > 0) * (1 + (np.arange(x.shape[3]) == 1))")
    report = check(tmp_path, monkeypatch, "relu", body)
    first = next(finding for finding in report.findings if not finding.passed)
    assert "channel 1 alone" in first.where
    assert first.error > 0.1


def test_the_same_cause_is_told_once(tmp_path, monkeypatch):
    body = STYLE.format("return (F @ (G - A)).reshape(x.shape)")
    lines = check(tmp_path, monkeypatch, "style-gradient", body).lines()
    assert sum("is missing" in line for line in lines) == 1
    assert sum("and 2 more for the same reason" in line for line in lines) == 1
    assert lines[-2] == "3 of 6 checks passed."
    assert "exercise hint style-gradient" in lines[-1]
    assert max(map(len, lines[1:])) <= 80  # the first has the path
