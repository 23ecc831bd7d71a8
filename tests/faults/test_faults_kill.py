"""Row 28: kill -9 at random moments; the 200 are `python tools/fault_harness.py kill`.

Killed at every file call in turn: test_faults_nth_call.py.
"""

from __future__ import annotations

import signal

import pytest
from kill_trials import KillTrials
from whole_files import SEEN


@pytest.mark.fault(28)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_run_that_is_killed_again_and_again_loses_nothing(tmp_path):
    found = KillTrials(tmp_path, seed=1).trials(4)
    SEEN.append(str(found))
    assert found.problems == []
    assert found.trials == 4
