"""Rows 27 and 28: a file call fails, each in turn; the whole is `python tools/fault_harness.py nth-call`."""

from __future__ import annotations

import errno

import pytest
from nth_call import FAULTS, KILL, Fault, NthCall
from nth_trials import SCENARIOS, Disturbed
from whole_files import quick_runs

from nst_manual.atomic import write_atomic
from nst_manual.errors import OutputError

# Of about 5000; each test takes another first call, so that together they see many kinds.
STEP = 120


@pytest.mark.fault(27)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_call_fails_nothing_is_lost(scenario, tmp_path):
    trials = []
    with quick_runs():
        disturbed = Disturbed(scenario, tmp_path)
        for first, fault in enumerate(FAULTS, start=1):
            trials += disturbed.trials(fault, STEP, first)
    assert not [str(trial) for trial in trials if trial.problems]
    codes = {trial.code for trial in trials}
    assert codes >= {0, 5, -9}, "calls were made to fail, and none of them mattered"


def test_the_harness_sees_what_an_unsafe_save_loses(tmp_path, monkeypatch):
    """A picture written in place, as most programs do."""

    def in_place(path, data):
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError as error:
            raise OutputError(str(path), "cannot be written") from error

    monkeypatch.setattr("nst_manual.images.write.write_atomic", in_place)
    with quick_runs():
        disturbed = Disturbed("rerun", tmp_path)
        fault = Fault(errno.ENOSPC, True)
        trials = [disturbed.trial(fault, nth) for nth in range(1, disturbed.count(fault) + 1)]
    lost = [problem for trial in trials for problem in trial.problems]
    assert any("is not whole" in problem for problem in lost), lost


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.number != KILL], ids=str)
def test_every_call_of_a_save_is_counted_and_fails_in_its_turn(tmp_path, fault):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen = []
    for nth in range(1, 100):
        calls = NthCall(tmp_path, nth, fault)
        expected = b"new, longer"
        with calls():
            try:
                write_atomic(path, b"new, longer")
            except OutputError:
                expected = b"old"
        assert path.read_bytes() == expected
        assert [*tmp_path.iterdir()] == [path] or "unlink" in str(calls.failed)
        for entry in tmp_path.iterdir():
            entry.unlink()
        path.write_bytes(b"old")
        if not calls.failed:
            break
        assert len(calls.failed) == 1 or fault.lasting
        seen.append(calls.failed[0].split()[0])
    assert nth == len(seen) + 1
    space = {"create", "write", "close", "fsync", "replace"}
    names = {"create", "open", "scandir", "stat", "replace", "unlink", "fchmod"}
    kinds = {errno.ENOSPC: space, errno.EACCES: names, errno.EIO: space | names}
    assert set(seen) >= kinds[fault.number], seen
