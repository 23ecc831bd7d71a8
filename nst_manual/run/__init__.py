"""One run, from its configuration to files."""

from nst_manual.run.job import Outcome, prepare, run_job, stylize

__all__ = ["Outcome", "prepare", "run_job", "stylize"]
