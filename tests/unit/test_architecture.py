"""Imports run one way, cost nothing and change nothing; nothing in the loading path can execute a file."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import painn_ase

ROOT = Path(painn_ase.__file__).parent

# A module may import from groups of lower or equal number; `cli` may be imported by nobody else. A dotted name is a
# part of a group with a place of its own.
LAYERS = {
    "units": 0, "errors": 0, "shown": 0, "files": 0, "threads": 0, "progress": 0, "plain": 0, "versions": 0,
    "properties": 1, "schema": 1, "smiles": 1, "native": 1, "rigid": 1, "isotopes": 1,
    "structure_checks": 1,
    "graph": 2,
    "neighbors": 3, "nn": 3, "ase_outputs": 3,
    "data": 4, "coverage": 4,
    "representations": 4,
    "heads": 5,
    "model": 6,
    "derivatives": 7, "response": 7,
    "model_files": 8, "backends": 8, "importers": 9, "structures": 9, "cards.sections": 8, "cards.render": 9,
    "capabilities": 10, "calculator": 10, "corrected": 10, "ase_plugin": 10, "training": 10,
    "simulate": 11, "normal_modes": 11, "lammps": 11, "engines": 11, "bench": 11, "reference": 11,
    "learning": 11, "testing": 11,
    "cards": 12,
    "build": 13,
    "cli": 14,
}  # fmt: skip
# The same inside of a group: its folders and files.
INNER_LAYERS = {
    "simulate": {
        "run": 0,
        "replicas": 1, "md": 1,
        "ring_polymer": 2, "spectrum": 2, "neb": 2,
    },
}  # fmt: skip
SPECTRA_MAY_IMPORT = {"units", "errors", "files", "rigid", "shown"}


def modules() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.py") if "bundled" not in p.parts)


def imported_modules(path: Path) -> set[str]:
    """Dotted names below painn_ase that a file imports at run time (type-checking blocks are left out)."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "painn_ase":
            inside = node.module.removeprefix("painn_ase").lstrip(".")
            for alias in node.names:  # a module, or a name of one
                full = f"{inside}.{alias.name}".lstrip(".")
                found.add(full if file_of(full) or not inside else inside)
        elif isinstance(node, ast.Import):
            found.update(a.name.removeprefix("painn_ase.") for a in node.names if a.name.startswith("painn_ase."))
    return found - {"__version__"}


def file_of(name: str) -> Path | None:
    """The file of a module of painn_ase; None if there is no such module."""
    place = ROOT / name.replace(".", "/")
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)


def group_of(name: str) -> str:
    """The part of a dotted name that has a place in LAYERS: its first two words, or else its first one."""
    head = ".".join(name.split(".")[:2])
    return head if head in LAYERS else head.split(".")[0]


def imported_groups(path: Path) -> set[str]:
    """Groups of painn_ase that a file imports."""
    return {group_of(name) for name in imported_modules(path)}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    group = group_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if group == "__init__":
        return
    imports = imported_groups(path) - {group}
    if group == "spectra":
        assert imports <= SPECTRA_MAY_IMPORT
        return
    assert group in LAYERS, f"give {group!r} a place in LAYERS"
    for other in imports - {"spectra"}:
        assert LAYERS[other] <= LAYERS[group], f"{path.relative_to(ROOT)} imports painn_ase.{other}, a layer above it"


@pytest.mark.parametrize("group", INNER_LAYERS)
def test_imports_inside_of_a_group_run_one_way(group):
    layers = INNER_LAYERS[group]
    for path in sorted((ROOT / group).rglob("*.py")):
        room = path.relative_to(ROOT / group).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        assert room in layers, f"give {group}.{room} a place in INNER_LAYERS"
        for name in imported_modules(path):
            head, _, rest = name.partition(".")
            other = rest.split(".")[0]
            assert head != group or other in layers, f"{path.relative_to(ROOT)} imports {name}, which imports it"
            if head == group and other != room:
                assert layers[other] <= layers[room], f"{path.relative_to(ROOT)} imports {name}, a layer above it"


def test_no_file_imports_itself_by_way_of_others():
    graph = {path: {file_of(name) for name in imported_modules(path)} - {None} for path in modules()}
    for path in modules():  # importing a module runs the packages that it is in first
        packages = {package / "__init__.py" for found in graph[path] for package in found.parents}
        graph[path] |= {p for p in packages if p.is_file() and p.parent not in path.parents and p != path}
    TopologicalSorter(graph).prepare()  # raises CycleError with the files of the cycle


PLAIN = ("nn", "representations", "heads", "model", "derivatives", "response", "graph")


@pytest.mark.parametrize("path", [p for p in modules() if p.relative_to(ROOT).parts[0].removesuffix(".py") in PLAIN],
                         ids=lambda p: str(p.relative_to(ROOT)))  # fmt: skip
def test_networks_are_formulas(path):
    """What defines a network knows nothing of compiled code, nor of a context that would change what it computes."""
    tree = ast.parse(path.read_text())
    imports = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imports |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert not imports & {"ctypes", "contextvars"}
    assert "native" not in imported_groups(path)


def test_import_is_light_and_without_side_effects():
    """`import painn_ase` loads no heavy package, and loading everything changes no global state."""
    script = """
import os, sys
environment = dict(os.environ)
import painn_ase
heavy = {"torch", "ase", "scipy", "matplotlib", "h5py"} & set(sys.modules)
assert not heavy, heavy
import numpy, torch
state = (torch.get_default_dtype(), torch.get_num_threads(), torch.random.get_rng_state().tolist(),
         numpy.random.get_state()[1].tolist(), numpy.geterr())
for name in painn_ase.__all__:
    getattr(painn_ase, name)
import painn_ase.cli, painn_ase.training, painn_ase.simulate, painn_ase.spectra
after = (torch.get_default_dtype(), torch.get_num_threads(), torch.random.get_rng_state().tolist(),
         numpy.random.get_state()[1].tolist(), numpy.geterr())
assert state == after
import ase.outputs
assert "polarizability" not in ase.outputs.all_outputs
assert dict(os.environ) == environment
"""
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", script], check=True, timeout=120)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="PaiNNCalculatr"):
        painn_ase.PaiNNCalculatr  # noqa: B018


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_can_execute_a_file(path):
    """No pickle, eval, exec, torch.load or shell, but for the importers' restricted unpickler, a test of copying, and
    the command that compiles sources of this package."""
    tree = ast.parse(path.read_text())
    names = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    assert not names & {"eval", "exec", "torch.load", "torch.save", "os.system", "compile", "__import__"}
    imports = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imports |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    allowed = {"pickle"} if path.parent.name == "importers" or path.stem == "isolation" else set()
    allowed |= {"subprocess"} if path == ROOT / "lammps" / "build.py" else set()
    assert not imports & ({"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "subprocess"} - allowed)
