"""The exercises: right solutions pass, and the files that they start with are right themselves."""

from __future__ import annotations

import numpy as np
import pytest

from nst_manual.check.exercises import course
from nst_manual.check.exercises.judge import judge
from nst_manual.check.exercises.runner import check_file
from nst_manual.errors import UsageError

# Written as a student would, and of nothing that the package has.
SOLUTIONS = {
    "conv-forward": """
def conv_forward(x, w, b, stride, padding):
    kh, kw, _, o = w.shape
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows = (x.shape[1] - kh) // stride + 1
    columns = (x.shape[2] - kw) // stride + 1
    y = np.zeros((len(x), rows, columns, o)) + b
    for i in range(rows):
        for j in range(columns):
            window = x[:, i * stride : i * stride + kh, j * stride : j * stride + kw]
            y[:, i, j] += np.tensordot(window, w, 3)
    return y
""",
    "conv-backward": """
def conv_backward(dy, w, x_shape, stride, padding):
    n, h, k, c = x_shape
    dx = np.zeros((n, h + 2 * padding, k + 2 * padding, c))
    for i in range(dy.shape[1]):
        for j in range(dy.shape[2]):
            for u in range(w.shape[0]):
                for v in range(w.shape[1]):
                    dx[:, i * stride + u, j * stride + v] += dy[:, i, j] @ w[u, v].T
    return dx[:, padding : padding + h, padding : padding + k]
""",
    "relu": """
def relu_forward(x):
    return np.where(x > 0, x, 0.0)

def relu_backward(x, dy):
    return dy * (x > 0)
""",
    "max-pool-backward": """
def max_pool_backward(x, dy, k, stride):
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(*dy.shape):
        window = x[n, i * stride : i * stride + k, j * stride : j * stride + k, c]
        u, v = np.unravel_index(window.argmax(), window.shape)
        dx[n, i * stride + u, j * stride + v, c] += dy[n, i, j, c]
    return dx
""",
    "content-gradient": """
def content_loss(x, target):
    return np.sum((x - target) ** 2) / 2

def content_gradient(x, target):
    return x - target
""",
    "gram": """
def gram(x):
    return np.einsum("nijc,nijd->ncd", x, x)
""",
    "style-gradient": """
def difference(x, style):
    F, P = x.reshape(-1, x.shape[3]), style.reshape(-1, x.shape[3])
    return F, F.T @ F - P.T @ P

def style_loss(x, style):
    F, D = difference(x, style)
    return (D**2).sum() / (4 * F.size**2)

def style_gradient(x, style):
    F, D = difference(x, style)
    return (F @ D / F.size**2).reshape(x.shape)
""",
    "total-variation": """
def tv_loss(x):
    return float(np.abs(np.diff(x, axis=1)).sum() + np.abs(np.diff(x, axis=2)).sum())

def tv_gradient(x):
    dx = np.zeros(x.shape)
    down, right = np.sign(x[:, 1:] - x[:, :-1]), np.sign(x[:, :, 1:] - x[:, :, :-1])
    dx[:, 1:] += down
    dx[:, :-1] -= down
    dx[:, :, 1:] += right
    dx[:, :, :-1] -= right
    return dx
""",
    "loss-module": """
class ContentLoss:
    def __init__(self, target, weight):
        self.target, self.weight = target, weight

    def forward(self, x):
        self.loss = self.weight / 2 * np.sum((x - self.target) ** 2)
        return x

    def backward(self, x, dy):
        return dy + self.weight * (x - self.target)
""",
    "gradient-descent": """
def gradient_descent(f, x, steps, rate):
    losses = []
    for _ in range(steps):
        loss, dx = f(x)
        losses.append(loss)
        x = x - rate * dx
    return losses, x
""",
    "lbfgs-direction": """
def lbfgs_direction(g, s, y):
    q, pairs, found = g.copy(), list(zip(s, y)), []
    for si, yi in reversed(pairs):
        a = (si @ q) / (si @ yi)
        q -= a * yi
        found.append(a)
    if pairs:
        q *= (s[-1] @ y[-1]) / (y[-1] @ y[-1])
    for (si, yi), a in zip(pairs, reversed(found)):
        q += (a - (yi @ q) / (si @ yi)) * si
    return -q
""",
}


def write(folder, name, body):
    path = folder / f"{name}.py"
    path.write_text(f'import numpy as np\n\nEXERCISE = "{name}"\n{body}', encoding="utf-8")
    return path


@pytest.mark.parametrize("name", course.NAMES)
def test_a_right_solution_passes(name, tmp_path):
    report = check_file(write(tmp_path, name, SOLUTIONS[name]))
    assert report.passed, "\n".join(report.lines())
    assert report.summary() == f"All {len(report.findings)} checks passed."
    assert len(report.findings) >= 3


@pytest.mark.parametrize("name", course.NAMES)
def test_exercises_are_complete(name):
    exercise = course.load(name)
    assert name == exercise.NAME
    assert len(exercise.HINTS) >= 2
    cases = exercise.cases()
    for case in cases:
        assert f"{case.function}(" in exercise.TEMPLATE or f"class {case.function}" in exercise.TEMPLATE
    for result in (result for case in cases for result in case.results):
        assert isinstance(result.value, float | list) or result.value.dtype == np.float64


@pytest.mark.parametrize("name", course.NAMES)
def test_each_known_mistake_is_told_by_its_own_words(name):
    """In one case at least: in some, two mistakes give the same numbers, or the right ones."""
    known, told = set(), set()
    for case in course.load(name).cases():
        for result in case.results:
            for words, other in result.alternatives.items():
                known.add(words)
                if words in told:
                    continue
                other = other() if callable(other) else other
                told.add(judge(result, float(other) if isinstance(result.value, float) else other)["cause"])
    assert known - told == set()


def test_no_two_wrong_scales_of_the_style_are_the_same_number():
    for case in course.load("style-gradient").cases():
        scales = [
            other / case.results[0].value
            for words, other in case.results[0].alternatives.items()
            if words.startswith("the scale") and isinstance(other, float)
        ]
        assert np.diff(sorted(scales)).min(initial=1) > 1e-9 * min(scales, default=1)


def test_a_file_without_the_line_goes_by_its_name(tmp_path):
    path = tmp_path / "max_pool_backward.py"
    path.write_text("import numpy as np\n", encoding="utf-8")
    assert course.exercise_of(path) == "max-pool-backward"


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "--exercise NAME"), ('EXERCISE = "grem"\n', "did you mean 'gram'"), (None, "cannot be read")],
)
def test_a_file_of_no_exercise_is_refused(tmp_path, content, said):
    path = tmp_path / "mine.py"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        check_file(path)


def test_the_worked_examples_of_the_files_are_right(tmp_path):
    """The numbers in the docstrings, computed by the right solutions."""
    have = {}
    for body in SOLUTIONS.values():
        exec("import numpy as np\n" + body, have)

    def row(*values):
        return np.array(values, float).reshape(1, 1, -1, 1)

    kernel = row(1, 10).reshape(1, 2, 1, 1)
    assert have["conv_forward"](row(1, 2, 3), kernel, np.zeros(1), 1, 0).ravel().tolist() == [21, 32]
    for dy, dx in (((1, 0), [1, 10, 0]), ((0, 1), [0, 1, 10])):
        assert have["conv_backward"](row(*dy), kernel, (1, 1, 3, 1), 1, 0).ravel().tolist() == dx
    assert have["relu_backward"](row(-1, 0, 2), row(5, 6, 7)).ravel().tolist() == [0, 0, 7]
    window = np.array([[1.0, 3], [3, 2]]).reshape(1, 2, 2, 1)
    assert have["max_pool_backward"](window, row(5), 2, 2).ravel().tolist() == [0, 5, 0, 0]
    assert have["content_loss"](row(1, 5), row(3, 4)) == 2.5
    two = np.array([[1.0, 2], [3, 4]]).reshape(1, 2, 1, 2)
    assert have["gram"](two).tolist() == [[[10, 14], [14, 20]]]
    x, style = np.array([1.0, 2]).reshape(1, 1, 1, 2), np.array([1.0, 0]).reshape(1, 1, 1, 2)
    assert have["style_loss"](x, style) == 1.5
    assert have["style_gradient"](x, style).ravel().tolist() == [1, 2.5]
    image = np.array([[1.0, 4], [2, 2]]).reshape(1, 2, 2, 1)
    assert have["tv_loss"](image) == 6
    assert have["tv_gradient"](image).ravel().tolist() == [-2, 2, 1, -1]
    losses, end = have["gradient_descent"](lambda x: (float(x.item() ** 2 / 2), x), row(8), 2, 0.5)
    assert (losses, end.item()) == ([32, 8], 2)
    pairs = [np.array([1.0, 0])], [np.array([2.0, 0])]
    assert have["lbfgs_direction"](np.array([2.0, 6]), *pairs).tolist() == [-1, -3]
