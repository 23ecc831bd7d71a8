"""Exercise: the direction of L-BFGS."""

from __future__ import annotations

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal
from nst_manual.optim.corrections import Corrections

NAME = "lbfgs-direction"
TITLE = "L-BFGS: the direction, by the two-loop recursion"
TEMPLATE = '''
def lbfgs_direction(g, s, y):
    """Return the direction of L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4).

    d = -H g, where H is what the last steps tell of the inverse Hessian, and is never made as a matrix:

        q = g
        from the newest pair to the oldest:    a_i = (s_i . q) / (s_i . y_i)        q = q - a_i y_i
        q = (s . y) / (y . y) q                of the newest pair
        from the oldest pair to the newest:    b = (y_i . q) / (s_i . y_i)          q = q + (a_i - b) s_i
        d = -q

    Parameters
    ----------
    g : array (n,)
        Gradient where we are; the image as one long vector.
    s : list of array (n,)
        The last steps, x' - x, from the oldest to the newest.
    y : list of array (n,)
        The changes of the gradient along them, g' - g. All s_i . y_i are positive.

    Returns
    -------
    array (n,)
        d. Without pairs, -g.

    Example
    -------
    g = (2, 6), one pair s = (1, 0) and y = (2, 0):  a = 1, q = (0, 6), times 1/2 = (0, 3), b = 0,
    q = (1, 3), d = (-1, -3).
    """
    raise NotImplementedError
'''
HINTS = (
    "Keep the a_i of the first loop in a list: the second loop needs them, in the opposite order.",
    "q = g.copy(), and q = q - ... rather than q -= ..., lest g is overwritten.",
    "zip(reversed(s), reversed(y)) goes from the newest to the oldest; s[-1] and y[-1] are the newest.",
)


def cases() -> list[Case]:
    """Return the calls to be checked."""
    return [
        _case(1, 12, 1, ""),
        _case(2, 12, 0, ""),
        _case(3, 20, 5, "from the oldest to the newest"),
        _case(4, 8, 10, "more pairs than unknowns"),
    ]


def reference(g: np.ndarray, s: list[np.ndarray], y: list[np.ndarray]) -> np.ndarray:
    """Return d."""
    corrections = Corrections(max(len(s), 1), g)
    for pair in zip(s, y, strict=True):
        corrections.add(*pair)
    q = g.copy()
    corrections.multiply(q)
    return -q


def _case(seed: int, n: int, count: int, note: str) -> Case:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n)) / np.sqrt(n)
    hessian = root @ root.T + np.eye(n)  # positive definite, so that s . y > 0
    g = normal(seed + 10, n)
    s = [normal(seed + 20 + i, n) for i in range(count)]
    y = [hessian @ step for step in s]
    right = reference(g, s, y)
    wrong = {"it is +H g: the direction goes down, -H g": -right}
    if count:
        newest, oldest = ((s[i] @ y[i]) / (y[i] @ y[i]) for i in (-1, 0))
        wrong |= {
            "it is -g: the pairs are not used": -g,
            "the factor (s . y) / (y . y) between the loops is missing": lambda: _two_loops(g, s, y, 1.0),
            "the factor between the loops is (y . y) / (s . y), it is to be (s . y) / (y . y)": lambda: (
                _two_loops(g, s, y, 1 / newest)
            ),
            "the factor between the loops is (s . y) / (s . s), it is to be (s . y) / (y . y)": lambda: (
                _two_loops(g, s, y, (s[-1] @ y[-1]) / (s[-1] @ s[-1]))
            ),
            "the second loop is missing": lambda: _two_loops(g, s, y, newest, second=None),
            "the second loop has a_i + b, it is to have a_i - b": lambda: _two_loops(g, s, y, newest, sign=1),
            "the second loop has b - a_i, it is to have a_i - b": lambda: _two_loops(
                g, s, y, newest, flip=-1
            ),
            "s and y are exchanged": lambda: reference(g, y, s),
        }
    if count > 1:
        wrong |= {
            "the factor between the loops is that of the oldest pair, it is to be that of the newest": (
                lambda: _two_loops(g, s, y, oldest)
            ),
            "both loops go the wrong way: the first from the newest to the oldest, the second back": (
                lambda: reference(g, s[::-1], y[::-1])
            ),
            "both loops go the wrong way: the first from the newest pair to the oldest, the second back; the "
            "factor between is right": lambda: _two_loops(g, s[::-1], y[::-1], newest),
            "the first loop goes from the oldest to the newest, it is to go the other way": (
                lambda: _two_loops(g, s, y, newest, first=1)
            ),
            "the second loop goes from the newest to the oldest, it is to go the other way": (
                lambda: _two_loops(g, s, y, newest, second=-1)
            ),
            "the second loop takes the a_i in the order in which the first one made them: they are to be "
            "taken from the back": lambda: _two_loops(g, s, y, newest, mixed=True),
        }
    return Case("lbfgs_direction", {"g": g, "s": s, "y": y}, (Expected(right, alternatives=wrong),), note)


def _two_loops(
    g: np.ndarray,
    s: list[np.ndarray],
    y: list[np.ndarray],
    scale: float,
    first: int = -1,
    second: int | None = 1,
    sign: int = -1,
    flip: int = 1,
    mixed: bool = False,
) -> np.ndarray:
    """Return -q of the recursion with one thing changed.

    Parameters
    ----------
    scale : float
        The factor between the loops.
    first, second : int
        1 for oldest to newest, -1 for newest to oldest, None for no loop.
    sign, flip : int
        The second loop adds flip (a_i + sign b) s_i.
    mixed : bool
        The second loop takes the a_i of the wrong pairs.
    """
    order, q, a = list(range(len(s))), g, {}
    for i in order[::first]:
        a[i] = (s[i] @ q) / (s[i] @ y[i])
        q = q - a[i] * y[i]
    q = scale * q
    if mixed:
        a = {i: a[order[-1] - i] for i in order}
    for i in order[::second] if second else ():
        b = (y[i] @ q) / (s[i] @ y[i])
        q = q + flip * (a[i] + sign * b) * s[i]
    return -q
