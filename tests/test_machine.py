"""What the system says of memory, and what limits leave."""

from __future__ import annotations

import mmap
import subprocess
import sys

import numpy as np
import pytest

from nst_manual import machine
from nst_manual.machine import available_memory, peak_memory, resident_memory

MEBIBYTE = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@linux
def test_what_is_free_is_less_than_what_there_is():
    import os

    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < available_memory() < whole


@linux
def test_memory_that_is_touched_is_resident():
    before = resident_memory()
    # of the system, not of the heap, where earlier tests may have left as much
    held = np.frombuffer(mmap.mmap(-1, 64 * MEBIBYTE), np.uint8)
    held[:] = 1
    grown = resident_memory() - before
    assert 60 * MEBIBYTE < grown < 80 * MEBIBYTE, grown
    assert peak_memory() * MEBIBYTE >= before + held.nbytes - 4 * MEBIBYTE


def limited(code: str, megabytes: int) -> str:
    """Return what a program prints whose address space is limited."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes * MEBIBYTE},) * 2)"
    ended = subprocess.run(
        [sys.executable, "-c", f"{limit}\n{code}"], capture_output=True, text=True, check=True
    )
    return ended.stdout


@linux
def test_a_limit_on_addresses_counts_less_what_threads_will_take():
    code = "from nst_manual.machine import available_memory as a; print(a(1), a(3))"
    one, three = map(int, limited(code, 800).split())
    assert 500 * MEBIBYTE < one < 750 * MEBIBYTE
    assert one - three == pytest.approx(2 * machine.THREAD_ADDRESSES, abs=MEBIBYTE)


@linux
def test_nothing_is_left_rather_than_less_than_nothing():
    assert limited("from nst_manual.machine import available_memory as a; print(a(64))", 600) == "0\n"


@linux
def test_blas_gets_one_thread_where_addresses_are_limited():
    code = "import os; from nst_manual.machine import spare_addresses as s; s()"
    shown = "\nprint(os.environ.get('OPENBLAS_NUM_THREADS'))"
    assert limited(f"import os; os.environ.pop('OPENBLAS_NUM_THREADS', None)\n{code}{shown}", 800) == "1\n"


GROUPS = {
    "memory.max": "memory.current",
    "memory.limit_in_bytes": "memory.usage_in_bytes",
}


def group(folder, limit, usage, files):
    """Write what a control group shows of itself, in the names of its version."""
    folder.mkdir(parents=True, exist_ok=True)
    old = "memory" in folder.parts[-2:] or folder.parent.name == "memory"
    names = list(GROUPS.items())[old]
    for name, value in zip(names, (limit, usage), strict=True):
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{'total_' if old else ''}inactive_file {files}\n")


def free(tmp_path, line):
    (tmp_path / "cgroup").write_text(line)
    return sorted(machine._free_of_groups(str(tmp_path / "cgroup"), str(tmp_path / "root")))


def test_a_control_group_leaves_its_limit_less_its_use_and_files_count_as_free(tmp_path):
    group(tmp_path / "root" / "job" / "step", 1000, 700, 100)
    assert free(tmp_path, "0::/job/step\n") == [400]


def test_the_groups_above_count_too(tmp_path):
    group(tmp_path / "root" / "job", 1000, 900, 50)
    group(tmp_path / "root" / "job" / "step", "max", 700, 100)
    assert free(tmp_path, "0::/job/step\n") == [150]


def test_of_a_container_the_top_is_seen(tmp_path):
    group(tmp_path / "root", 1000, 700, 0)
    assert free(tmp_path, "0::/docker/0123\n") == [300]


def test_the_first_version_of_groups(tmp_path):
    group(tmp_path / "root" / "memory" / "job", 1000, 700, 100)
    assert free(tmp_path, "5:cpu,cpuacct:/other\n4:memory:/job\n") == [400]


def test_without_groups_nothing_is_said(tmp_path):
    assert free(tmp_path, "garbage\n\x00\n") == []
    assert list(machine._free_of_groups(str(tmp_path / "none"), str(tmp_path))) == []
