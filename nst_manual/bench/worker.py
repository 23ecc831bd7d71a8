"""A process that measures one thing: `python -m nst_manual.bench.worker`; `bench.process` starts it.

One JSON object a line in both directions. The first line in is the job, and is answered when the subject has
been built and warmed up; each later one asks for `evaluate` or `run`. It ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any

# The first evaluation allocates buffers, the second finds them; from then on they are all alike.
WARM_UPS = 2


def main() -> None:
    """Answer the lines of standard input."""
    # what libraries print goes to standard error: standard output carries the answers alone
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()

    from nst_manual.bench.subjects import SUBJECTS
    from nst_manual.errors import NstError
    from nst_manual.machine import peak_memory

    subject: Any = None
    while True:
        message = json.loads(lines.get())
        try:
            if subject is None:
                subject = SUBJECTS[message["kind"]](message)
                for _ in range(WARM_UPS if message["warm_up"] else 0):
                    subject.evaluate()
                answer = subject.about()
            elif message["do"] == "run":
                answer = subject.run(message["iterations"])
            else:
                answer = subject.evaluate()
        except NstError as error:
            answer = {"error": [type(error).__name__, *error.args]}
        peak = peak_memory() if subject is None else subject.peak_mb()
        answers.write(json.dumps(answer | {"peak_mb": peak}) + "\n")
        answers.flush()


def _read(lines: queue.SimpleQueue[str]) -> None:
    """Hand on the lines of standard input; when it ends, so has the parent, and so does this process."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
