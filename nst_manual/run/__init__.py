"""One run, from its configuration to files."""

from nst_manual.run.job import Outcome, prepare, run_job
from nst_manual.run.scales import Course, paint
from nst_manual.run.stylize import stylize

__all__ = ["Course", "Outcome", "paint", "prepare", "run_job", "stylize"]
