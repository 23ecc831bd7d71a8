"""The exercises: whatever the student's file does, the checker answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from nst_manual.check.exercises.runner import check_file

RELU = """def relu_forward(x):
    {}
    return np.maximum(x, 0)


def relu_backward(x, dy):
    return dy * (x > 0)
"""


def write(folder, text, name="mine.py"):
    path = folder / name
    path.write_text('import numpy as np\nEXERCISE = "relu"\n' + text, encoding="utf-8")
    return path


def test_an_exception_shows_the_lines_of_the_student_alone(tmp_path):
    report = check_file(write(tmp_path, "def deeper(x):\n    return x[9]\n" + RELU.format("deeper(x)")))
    first = report.findings[0]
    assert first.problem == "it raises an exception"
    assert first.traceback[-1].startswith("IndexError")
    files = [line for line in first.traceback if "File" in line]
    assert [line.rsplit(", ", 2)[1:] for line in files] == [
        ["line 6", "in relu_forward"],
        ["line 4", "in deeper"],
    ]
    assert all("mine.py" in line for line in files)
    assert all(finding.passed for finding in report.findings if finding.function == "relu_backward")


def test_a_helper_file_beside_it_is_the_students_too(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("def deeper(x):\n    return 1 / 0\n", encoding="utf-8")
    report = check_file(write(tmp_path, "import helper_of_mine\n" + RELU.format("helper_of_mine.deeper(x)")))
    assert any("helper_of_mine.py" in line for line in report.findings[0].traceback)
    assert not (tmp_path / "__pycache__").exists()


def test_a_recursion_without_end_is_cut(tmp_path):
    report = check_file(write(tmp_path, RELU.format("relu_forward(x)")))
    assert "RecursionError" in report.findings[0].traceback[-1]
    assert len(report.findings[0].traceback) < 25


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import sys; sys.exit(0)", "ends the program"),
        ("raise KeyboardInterrupt", "it raises an exception"),
        ("import os; os._exit(0)", "the process ended with exit code 0"),
        ("import os; os.abort()", "SIGABRT"),
        ("input()", "it raises an exception"),
    ],
)
def test_code_that_wants_to_end_it_all(tmp_path, line, said):
    report = check_file(write(tmp_path, RELU.format(line)))
    assert not report.passed
    assert said in report.findings[0].problem
    assert report.findings[0].function == "relu_forward"


def test_input_is_explained(tmp_path):
    report = check_file(write(tmp_path, RELU.format("input()")))
    assert "input() has nothing to read" in report.findings[0].traceback[-1]


def test_a_syntax_error_shows_its_line(tmp_path):
    report = check_file(write(tmp_path, "def relu_forward(x)\n    return x\n"))
    assert not report.passed
    assert "line 3" in "\n".join(report.traceback)
    assert "SyntaxError" in report.traceback[-1]
    assert report.findings == []
    assert any("cannot be loaded" in line for line in report.lines())


def test_a_file_that_fails_while_loaded(tmp_path):
    report = check_file(write(tmp_path, "import no_such_module_anywhere\n"))
    assert "ModuleNotFoundError" in report.traceback[-1]
    assert "line 3" in report.traceback[0]
    assert "__main__" in check_file(write(tmp_path, "raise SystemExit\n")).problem


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "relu.py"
    path.write_bytes(b"\xff\xfe\x00\x01")
    report = check_file(path)
    assert not report.passed
    assert report.problem


def test_missing_functions_are_named(tmp_path):
    report = check_file(write(tmp_path, "relu_backward = 3\n"))
    assert [finding.problem for finding in report.findings] == [
        "relu_forward is not in the file",
        "relu_backward is no function",
    ]


def test_wrong_parameters_are_told(tmp_path):
    report = check_file(write(tmp_path, "def relu_forward():\n    return 0\n"))
    assert "takes 0 positional arguments but 1 was given" in report.findings[0].traceback[-1]


def test_an_endless_loop_ends_at_the_time_limit_with_its_children(tmp_path):
    note = tmp_path / "child"
    child = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    )
    child += f"; open({str(note)!r}, 'w').write(str(p.pid))"
    body = RELU.replace("return dy", "while True: pass\n    return dy").format(child)
    report = check_file(write(tmp_path, body), time_limit=4)
    assert not report.passed
    last = report.findings[-1]
    assert last.function == "relu_backward"
    assert "the time limit of 4 s has passed" in last.problem
    assert report.findings[0].passed
    assert _ends(int(note.read_text()))


def test_an_endless_loop_while_loaded(tmp_path):
    report = check_file(write(tmp_path, "while True:\n    pass\n"), time_limit=1)
    assert "while the file is loaded, the time limit of 1 s has passed" in report.problem


def test_threads_that_do_not_end_do_not_hold_it_up(tmp_path):
    line = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
    assert check_file(write(tmp_path, RELU.format(line)), time_limit=30).passed


def test_prints_and_a_closed_stdout_do_no_harm(tmp_path):
    assert (
        check_file(write(tmp_path, RELU.format("print('here'); import sys; sys.stdout.close()"))) is not None
    )


def test_files_of_the_current_folder_do_not_stand_in_for_ours(tmp_path):
    (tmp_path / "numbers.py").write_text("raise SystemExit(7)\n", encoding="utf-8")
    path = write(tmp_path, RELU.format("pass"))
    code = (
        f"from nst_manual.check.exercises.runner import check_file; print(check_file({str(path)!r}).passed)"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ended.stdout.strip() == "True", ended.stderr


def _ends(process):
    """Whether a process is gone, or a zombie, within a few seconds."""
    for _ in range(100):
        try:
            with open(f"/proc/{process}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except OSError:
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                return True
        time.sleep(0.05)
    return False
