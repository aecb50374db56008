"""What is asked of a build: one dataclass, and the TOML file that holds the same."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from painn_ase.errors import InputError, choice, positive, whole
from painn_ase.schema import check_keys, read_toml

PURPOSES = ("ir", "raman", "spectrum")
_FREE = ("output", "forces", "target", "hours", "frames", "processes", "purposes")  # may change when a build goes on


@dataclass(frozen=True)
class Request:
    """What a model is wanted of, by which reference, how good, and at what cost.

    structure: a file that ASE reads (all its frames: conformers; FILE@0 one of them), `smiles:NC=O`, or a name that ASE
        or the package knows
    output: folder of everything
    reference: `gfn2`, `gfn1`, FUNCTIONAL/BASIS for PySCF, a bundled model or model folder as a teacher, or
        `refs.py:make` or `module:make`, a function that makes an ASE calculator (`painn_ase.reference.label` says how)
    polarizability: the level FUNCTIONAL/BASIS of polarizabilities where the reference gives none
    purposes: of "ir", "raman", "spectrum" (both, as far as there are labels); without any, dynamics
    temperature: of the intended dynamics in K
    beads: of ring polymers in the intended dynamics; one is classical
    target: mean deviation of harmonic frequencies in cm⁻¹ that is good enough; the worst may be three times it
    forces: mean absolute error of force components in meV/Å that is good enough
    hours: at most so long, parts before a kill included
    frames: at most so many labels beside the yardstick's; 0: as many as fit into the time
    processes: structures labelled, and networks trained, at a time; 0: as many as there are cores
    committee: number of networks
    start: a trained model whose weights training begins from; heads that it lacks are added
    charge: total charge in e; by default what the file says, else 0
    multiplicity: 2S + 1; by default what the file says, else the lowest
    seed: of all random numbers
    """

    structure: str
    output: Path
    reference: str = "gfn2"
    polarizability: str | None = None
    purposes: tuple[str, ...] = ()
    temperature: float = 300.0
    beads: int = 1
    target: float = 5.0
    forces: float = 20.0
    hours: float = 2.0
    frames: int = 0
    processes: int = 0
    committee: int = 2
    start: str | None = None
    charge: int | None = None
    multiplicity: int | None = None
    seed: int = 0
    folder: Path = field(default=Path(), compare=False, repr=False)  # that files named in a TOML file are relative to

    def __post_init__(self) -> None:
        for name in self.purposes:
            choice("--for", name, PURPOSES)
        for name, unit in {"temperature": "K", "target": "cm⁻¹", "forces": "meV/Å", "hours": "h"}.items():
            object.__setattr__(self, name, positive(name, getattr(self, name), unit))
        for name, least in {"beads": 1, "frames": 0, "processes": 0, "committee": 2, "seed": 0}.items():
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        object.__setattr__(self, "output", Path(self.output))
        object.__setattr__(self, "purposes", tuple(self.purposes))

    @property
    def wants_infrared(self) -> bool:
        """Whether infrared spectra are asked for, if there can be any."""
        return bool({"ir", "spectrum"}.intersection(self.purposes))

    @property
    def wants_raman(self) -> bool:
        """Whether Raman spectra are asked for, if there can be any."""
        return bool({"raman", "spectrum"}.intersection(self.purposes))

    def to_dict(self) -> dict[str, Any]:
        """What was asked, JSON-able; without the folders."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("output", "folder")}
        return plain | {"purposes": list(self.purposes)}

    def differs(self, before: dict[str, Any]) -> list[str]:
        """What makes this another build than the one asked `before`."""
        now = self.to_dict()
        return [name for name in now if name not in _FREE and now[name] != before.get(name)]

    def to_toml(self) -> str:
        """The text of a build.toml that asks for the same."""
        lines = ["# Edit, then: painn-ase build build.toml --output ANOTHER"]
        for name, value in self.to_dict().items():
            lines.append(f"# {name} =" if value is None else f"{name} = {json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines) + "\n"


def read_request(path: str | Path, **changes: Any) -> Request:
    """The request in a TOML file, with `changes`; structures, models and functions are found beside that file.

    Raises `InputError` for what is no such file, and for unknown keys.
    """
    path = Path(path)
    table = read_toml(path, "build")
    known = [f.name for f in fields(Request) if f.name != "folder"]
    check_keys(str(path), table, optional=known)
    table = table | changes
    for name in ("structure", "output"):
        if name not in table:
            raise InputError(f"{path}: {name} is missing")
    try:
        return Request(**table, folder=path.parent)
    except TypeError as error:
        raise InputError(f"{path}: {error}") from None
