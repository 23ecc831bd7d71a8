"""A worker of `bench` that works in this process: the stand-in for CuPy is here alone."""

from __future__ import annotations


class InProcess:
    """In place of `nst_manual.bench.process.Worker`."""

    def __init__(self, name, job):
        from nst_manual.bench.subjects import SUBJECTS

        self.name = name
        self.subject = SUBJECTS[job["kind"]](job)
        self.about = self.subject.about()
        if job["warm_up"]:
            self.subject.evaluate()

    def ask(self, message):
        """Return the answer."""
        if message["do"] == "run":
            return self.subject.run(message["iterations"])
        return self.subject.evaluate()

    @property
    def peak_mb(self):
        """The subject's."""
        return self.subject.peak_mb()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass
