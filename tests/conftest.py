"""Settings of all tests. Because this file stands here, `import reference` finds the helpers beside it."""

import os
import signal
from pathlib import Path

from hypothesis import settings

# Tests run two at a time (`pytest -n 2`). Each with as many threads of OpenMP as there are processors, those
# of PyTorch would wait for one another by spinning. Set before any library is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Programs that tests start import the same checkout as the tests, installed or not.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])

# The same examples in every run: a failure can be repeated, and speaks of the change at hand.
# To look further: pytest --hypothesis-profile explore
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=100)
settings.register_profile("explore", deadline=None, database=None, max_examples=1000)
settings.load_profile("repeatable")

# A shell that starts the tests in the background may have SIGINT ignored, and what they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
