"""From the plan of a figure to its pictures and the sheet of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from nst_manual.errors import DivergedError, Interrupted, NstError
from nst_manual.figures.plan import Job, Plan
from nst_manual.images import contact_sheet, to_uint8
from nst_manual.run.job import Outcome
from nst_manual.run.scales import Course, paint
from nst_manual.run.signals import stop_request


@dataclass
class Figure:
    """Pictures with captions.

    Attributes
    ----------
    columns : int
    title : str
    pictures : list of (str, array (H, W, 3) of uint8)
        Captions and pixels, row by row, the photograph and the paintings first where the figure shows them.
    stopped : NstError or None
        The signal that ended the work before all pictures were there.
    """

    columns: int
    title: str
    pictures: list[tuple[str, np.ndarray]] = field(default_factory=list, repr=False)
    stopped: NstError | None = None

    @property
    def sheet(self) -> np.ndarray:
        """The contact sheet, (H, W, 3) of uint8."""
        return contact_sheet(self.pictures, self.columns, self.title)


@dataclass(frozen=True)
class Step:
    """A picture was painted: its number of so many, its caption, its seconds, and the figure so far."""

    number: int
    total: int
    caption: str
    seconds: float
    figure: Figure


OnPicture = Callable[[Step], None]


def paint_plan(plan: Plan, on_picture: OnPicture | None = None) -> Figure:
    """Paint the pictures of a plan, one after the other.

    Parameters
    ----------
    plan : Plan
    on_picture : callable, optional
        Gets a `Step` after every picture: to write the sheet anew, so that nothing is lost.

    Returns
    -------
    Figure
        A signal ends the work: the picture that was being painted is dropped, and the figure has those before
        it and the signal in `stopped`. A run whose loss is without bounds ends by itself alone: its picture
        is the best that it had, and its caption says so.

    Raises
    ------
    NstError
        A run that cannot begin, or whatever `on_picture` raises.
    """
    figure = Figure(plan.columns, plan.title, list(plan.given))
    with stop_request() as request:
        for number, job in enumerate(plan.jobs, start=1):
            began = time.perf_counter()
            try:
                request.check()
                outcome = paint(plan.content, plan.styles, job.config, course=Course(request=request))
                if outcome.stopped is not None and not isinstance(outcome.stopped, DivergedError):
                    raise outcome.stopped
            except Interrupted as signal:
                figure.stopped = signal
                break
            caption = _caption(job, outcome)
            figure.pictures.append((caption, to_uint8(outcome.pixels)))
            if on_picture is not None:
                seconds = time.perf_counter() - began
                on_picture(Step(number, len(plan.jobs), caption, seconds, figure))
    return figure


def _caption(job: Job, outcome: Outcome) -> str:
    """Return what stands below a picture."""
    parts = [job.caption, job.remark(outcome), "diverged" if outcome.stopped is not None else ""]
    return ", ".join(part for part in parts if part)
