"""An early stop where the loss no longer falls: a `stop` for every optimiser.

Let L(t) be the lowest loss up to iteration t. It ends at the first t with

L(t - patience) - L(t)  <=  tolerance |L(t - patience)|

The lowest, since the losses of first-order methods go up and down.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from nst_manual.errors import UsageError


class NoProgress:
    """Stop when the loss has not fallen by more than a share of itself over the last iterations.

    Parameters
    ----------
    tolerance : float
        The share. With 0, only a loss that did not fall at all ends the run.
    patience : int
        Over how many iterations.

    Raises
    ------
    UsageError
        A tolerance outside 0..1, or no patience.

    Examples
    --------
    >>> from nst_manual.optim import LBFGS, NoProgress
    >>> LBFGS().minimize(f, x, 1000, stop=NoProgress(1e-3, 20)).message     # doctest: +SKIP
    'the loss fell by less than 0.1 % in the last 20'
    """

    def __init__(self, tolerance: float = 1e-3, patience: int = 20) -> None:
        if not 0 <= tolerance < 1:
            raise UsageError("early stop", f"expected a tolerance from 0 and below 1, got {tolerance!r}")
        if isinstance(patience, bool) or patience != math.floor(patience) or patience < 1:
            raise UsageError("early stop", f"expected a patience of 1 iteration or more, got {patience!r}")
        self.tolerance, self.patience = float(tolerance), int(patience)
        self._lowest: deque[float] = deque(maxlen=self.patience + 1)
        self._restored = False

    def __call__(self, iteration: int, loss: float) -> str:
        """Take the loss of an iteration; return why to stop there, or "" to go on.

        Iteration 1 begins a new run, unless a state was restored before it.
        """
        if iteration == 1 and not self._restored:
            self._lowest.clear()
        self._restored = False
        self._lowest.append(min(self._lowest[-1], loss) if self._lowest else float(loss))
        if len(self._lowest) <= self.patience:
            return ""
        before = self._lowest[0]
        if before - self._lowest[-1] > self.tolerance * abs(before):
            return ""
        if not self.tolerance:
            return f"the loss did not fall in the last {self.patience}"
        return f"the loss fell by less than {100 * self.tolerance:g} % in the last {self.patience}"

    def state(self) -> dict[str, Any]:
        """Return the lowest losses up to each of the last iterations, the oldest first."""
        return {"lowest": list(self._lowest)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state: the next run continues the one that it was taken in."""
        self._lowest.clear()
        self._lowest.extend(float(loss) for loss in state["lowest"])
        self._restored = True
