"""Ctrl-C and its relatives: the run stops at the next evaluation, where the picture is whole.

Before there is anything to save - while images and weights are read - it stops at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from nst_manual.atomic import abandon
from nst_manual.errors import Interrupted

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopRequest:
    """Whether a signal came; the second one ends the program on the spot, all files being whole.

    Attributes
    ----------
    at_once : bool
        Whether the first signal raises `Interrupted` where the program is, since there is nothing to save.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.signal: signal.Signals | None = None
        self.at_once = at_once

    def receive(self, number: int, frame: object) -> None:
        """Handle a signal."""
        if self.signal is not None:
            abandon()
            os._exit(128 + number)
        self.signal = signal.Signals(number)
        if self.at_once:
            raise Interrupted(self.signal.name, number, "nothing had been made yet")

    def check(self) -> None:
        """Raise `Interrupted` if a signal came."""
        if self.signal is not None:
            raise Interrupted(self.signal.name, self.signal.value)


@contextlib.contextmanager
def stop_request(at_once: bool = False) -> Iterator[StopRequest]:
    """Turn signals into a `StopRequest` inside the context; the handlers that were there come back after it.

    Only the main thread can have handlers. In another one the request never comes, and KeyboardInterrupt
    stays what it is.
    """
    request = StopRequest(at_once)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in SIGNALS if _is_ours(number)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_ours(number: signal.Signals) -> bool:
    """Leave a signal alone that is being ignored on purpose: `nohup` does so with SIGHUP."""
    return signal.getsignal(number) is not signal.SIG_IGN
