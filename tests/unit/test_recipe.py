"""The recipe that compiles the kernel's sources names files that exist."""

from pathlib import Path

from painn_ase.native import recipe

SOURCES = Path(recipe.__file__).parent / "csrc"


def test_every_unit_and_every_instruction_set_has_its_source(monkeypatch):
    assert all((SOURCES / f"{name}.cpp").is_file() for name in recipe.UNITS)
    for machine in ("x86_64", "AMD64", "aarch64"):
        monkeypatch.setattr(recipe.platform, "machine", lambda machine=machine: machine)
        sets = recipe.instruction_sets()
        assert "portable" in sets
        assert (len(sets) > 1) == (machine != "aarch64")
        assert all((SOURCES / f"kernels_{name}.cpp").is_file() for name in sets)
