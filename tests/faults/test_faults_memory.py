"""Rows 18 and 33: too little memory is told before the work, and a limited address space ends in one line."""

from __future__ import annotations

import re
import sys

import pytest
from fault_program import SMALL

resource = pytest.importorskip("resource", reason="limits of a process are Unix's")

MEBIBYTE = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a limit on address space")


def address_space(megabytes):
    """Return what sets the limit in the new process."""
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes * MEBIBYTE,) * 2)


@pytest.mark.fault(18)
def test_a_size_beyond_all_memory_is_refused_before_the_work(program):
    # --memory says what a machine of 24 GB would: the test is not to depend on the one that it runs on
    command = ["run", "photo.png", "painting.png", "-o", "old.png", "--size", "20000"]
    error = program.refuses(6, *command, "--network", "vgg16", "--memory", "24GB", seconds=30)
    found = re.fullmatch(
        r"error: --size 20000: needs about (\d+) GB of memory, --memory allows 24.0 GB "
        r"\(--size (\d+) fits; (.+) needs? less\)",
        error,
    )
    assert found, error
    assert int(found[1]) > 100
    assert 1000 < int(found[2]) < 20000
    assert "--optimizer adam" in found[3]


@pytest.mark.fault(18)
def test_what_is_said_to_fit_fits(program):
    command = ["run", "photo.png", "painting.png", "-o", "new.png", "--network", "squeezenet"]
    error = program.refuses(6, *command, "--size", "600", "--memory", "120MB")
    size = re.search(r"\(--size (\d+)", error)[1]
    program.paints(*command, "--size", size, "--memory", "120MB", "--iterations", "1")


@pytest.mark.fault(18)
def test_without_a_limit_of_the_user_what_is_free_counts(program):
    error = program.refuses(
        6, "run", "photo.png", "painting.png", "-o", "old.png", "--size", "65536", "--network", "vgg16"
    )
    assert re.search(r"needs about \d+ GB of memory, \d.* are free", error)


@linux
@pytest.mark.fault(33)
@pytest.mark.parametrize(("size", "network"), [(64, "vgg16"), (256, "squeezenet")])
def test_a_run_in_a_gigabyte_of_addresses_works(program, size, network):
    command = ["run", "photo.png", "painting.png", "-o", "new.png", "--iterations", "2"]
    program.paints(*command, "--size", str(size), "--network", network, before=address_space(1024))


@linux
@pytest.mark.fault(33)
def test_a_run_that_needs_more_addresses_is_refused(program):
    command = ["run", "photo.png", "painting.png", "-o", "old.png", "--size", "2048", "--network", "vgg16"]
    error = program.refuses(6, *command, before=address_space(1024))
    assert "--size 2048: needs about" in error
    assert re.search(r"\(--size \d+ fits", error)


@linux
@pytest.mark.fault(33)
@pytest.mark.parametrize("megabytes", [60, 200])
def test_too_few_addresses_to_begin_with_are_told(program, megabytes):
    """Without a word of ours the BLAS library would end the program with one of its own."""
    error = program.refuses(6, "run", *SMALL, before=address_space(megabytes))
    assert f"limited to {megabytes} MB" in error


@linux
@pytest.mark.fault(33)
@pytest.mark.parametrize("megabytes", [280, 360])
def test_few_addresses_end_in_one_line_or_a_picture(program, megabytes):
    before = program.snapshot()
    arguments = ["run", "photo.png", "painting.png", "-o", "old.png", *SMALL]
    finished = program(*arguments, before=address_space(megabytes))
    assert finished.code in (0, 6), finished.err
    if finished.code:
        assert finished.error
        assert program.snapshot() == before


@linux
@pytest.mark.fault(33)
def test_memory_that_turns_out_not_to_be_there_ends_with_6(program):
    """--memory promises more than there is: the run begins, and stops where it is short of it."""
    command = ["run", "photo.png", "painting.png", "-o", "old.png", "--size", "1200", "--scales", "1"]
    error = program.refuses(6, *command, "--network", "vgg16", "--memory", "8GB", before=address_space(420))
    assert error.startswith("error: run: there is not enough memory, ")


@linux
def test_help_needs_next_to_no_addresses(program):
    assert program("--help", before=address_space(200)).code == 0
