"""The package as a whole: imports go one way and cost nothing, and everything is packed."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nst_manual"

# Each may import from those before it and from its own group, never from those behind it.
ORDER = [
    {"errors", "backend", "machine", "threads"},
    {"options", "atomic"},
    {"images", "nets", "samples"},
    {"presets", "config"},
    {"kernels"},
    {"store"},
    {"nn"},
    {"losses"},
    {"objective"},
    {"optim"},
    {"run", "check"},
    {"figures"},
    {"bench"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE or path.stem in RANK]


def imported(path: Path) -> set[str]:
    """Return the parts of the package that a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = (
                [node.module] if node.module != "nst_manual" else [f"nst_manual.{a.name}" for a in node.names]
            )
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("nst_manual.")}
    return found


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    for name in imported(path) & set(RANK):
        assert RANK[name] <= RANK[part(path)], f"{part(path)} imports {name}, which stands behind it"


def test_optimisers_never_see_a_network():
    for path in (PACKAGE / "optim").glob("*.py"):
        assert imported(path) <= {"optim", "errors", "backend"}


def test_only_the_backend_knows_cupy():
    for path in PACKAGE.rglob("*.py"):
        if path.name != "backend.py":
            names = [
                node
                for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.Import | ast.ImportFrom)
            ]
            assert not any("cupy" in ast.unparse(node) for node in names), path


def loaded_after(statement: str) -> set[str]:
    """Return the top-level names of the modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(ended.stdout.splitlines()[-1].split())


HEAVY = {
    "numpy",
    "scipy",
    "PIL",
    "h5py",
    "rich",
    "typer",
    "threadpoolctl",
    "platformdirs",
    "cupy",
    "torch",
    "jax",
}


def test_importing_the_package_loads_nothing():
    assert not loaded_after("import nst_manual") & HEAVY


def test_help_loads_no_numerical_library():
    statement = "from nst_manual.cli import main; main(['--help'])"
    assert not loaded_after(statement) & {"numpy", "scipy", "PIL", "h5py", "torch"}


def test_importing_the_modules_loads_neither_scipy_nor_pillow_nor_h5py():
    statement = "import nst_manual; nst_manual.nn, nst_manual.Objective, nst_manual.stylize"
    assert not loaded_after(statement) & {"scipy", "PIL", "h5py", "torch", "typer"}


def test_every_public_name_is_there():
    import nst_manual

    assert len(nst_manual.__all__) <= 12
    for name in nst_manual.__all__:
        assert getattr(nst_manual, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = nst_manual.no_such_name


def test_all_packages_are_listed_for_the_wheel():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(settings["options"]["packages"].split())
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert listed == folders | {"nst_manual.weights"}


def test_no_file_is_longer_than_400_lines():
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "tools").rglob("*.py")]:
        assert len(path.read_text("utf-8").splitlines()) <= 400, path


def test_no_autodiff_in_the_package():
    """PyTorch stands beside the package where answers or seconds are compared, and nowhere else."""
    for path in PACKAGE.rglob("*.py"):
        if part(path) not in ("check", "bench"):
            names = set()
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names.add(node.module.split(".")[0])
            assert not names & {"torch", "jax", "tensorflow"}, path
