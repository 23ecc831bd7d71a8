"""One run, from its configuration to files."""

from nst_manual.run.job import Outcome, prepare, run_job
from nst_manual.run.scales import paint
from nst_manual.run.stylize import stylize

__all__ = ["Outcome", "paint", "prepare", "run_job", "stylize"]
