"""The tasks of accuracy.py: published data, how they are split, and what stands beside the results."""

from __future__ import annotations

from dataclasses import dataclass

from painn_ase.training import Label
from painn_ase.training.config import LossWeights

_EV = {"energy": Label("energy", "eV"), "forces": Label("forces", "eV/Å")}
_MLEARN = {
    "energy": Label("REF_energy", "eV"),
    "forces": Label("REF_forces", "eV/Å"),
    "stress": Label("REF_stress", "eV/Å³"),
}
_CCSD = {"dipole": Label("mu", "e*Bohr"), "polarizability": Label("alpha", "Bohr^3")}
_QE = {
    "energy": Label("total_energy", "eV"),
    "forces": Label("forces", "eV/Å"),
    "stress": Label("stress", "eV/Å³"),
}


@dataclass(frozen=True)
class Task:
    """Data, how they are split, and what stands beside the result."""

    title: str
    level: str
    labels: dict[str, Label]
    train: str  # file in the data folder
    test: str | None  # file; None: `split` takes the test frames from the training file
    split: str  # in words, for the page
    validation: float  # fraction of the training frames
    counts: tuple[int, int, int] | None = None  # training, validation and test frames of a file that is divided here
    neighbours: tuple[tuple[str, str], ...] = ()  # published values, recalled from the papers
    batch: int = 5
    loss: LossWeights = LossWeights()  # noqa: RUF009  (frozen)
    exchanged: bool = False  # yz and xz of the labelled stresses; put right here (models/silicon/prepare.py)


_RMD17 = (
    ("MACE", "2.1"),
    ("NequIP", "2.8"),
    ("ACE", "7.3"),
    ("PaiNN (MD17)", "10.0"),
)
_ACAC = (("MACE", "5.1"), ("NequIP", "5.9"), ("BOTNet", "6.3"))
# stresses of a pair potential (24 hat functions up to 6 Å) fitted to the forces, against the labels
_EXCHANGED = (
    ". Except in elastic frames its yz and xz of the stress are exchanged: stresses of a pair potential fitted to the "
    "forces correlate by 0.9 with the other component and by 0.1 with the one of the same name"
)
_ORDERED = ". Its stresses are in order: those of a pair potential fitted to the forces correlate with them by 0.97"
_SOLID = LossWeights(energy=0.2, forces=1.0, stress=0.6)
_ANY = "frames drawn at random (permutation of seed 0)"

TASKS = {
    "ethanol_methanol": Task(
        "Ethanol (1000 training frames)",
        "PBE/def2-SVP (ORCA) on rMD17 geometries; BOTNet-datasets",
        _EV, "ethanol_methanol/train.xyz", "ethanol_methanol/test_MD.xyz",
        "train.xyz: 950 training, 50 validation frames by seed 0; test_MD.xyz: 1000 test frames", 0.05,
        neighbours=_RMD17,
    ),
    "acac_300K": Task(
        "Acetylacetone, trained at 300 K",
        "PBE-D3/def2-SVP (ORCA); BOTNet-datasets",
        _EV, "acac/train_300K.xyz", "acac/test_MD_300K.xyz",
        "train_300K.xyz: 450 training, 50 validation frames by seed 0; test_MD_300K.xyz: 650 test frames", 0.1,
        neighbours=_ACAC,
    ),
    "acac_600K": Task(
        "Acetylacetone, trained at 600 K, tested at 300 K",
        "PBE-D3/def2-SVP (ORCA); BOTNet-datasets",
        _EV, "acac/train_600K.xyz", "acac/test_MD_300K.xyz",
        "train_600K.xyz: 450 training, 50 validation frames by seed 0; test_MD_300K.xyz: 650 test frames", 0.1,
    ),
    **{
        f"mlearn_{element}": Task(
            f"Solid {name} (mlearn)",
            "PBE (VASP); mlearn, Zuo et al. 2020" + (_ORDERED if element == "Mo" else _EXCHANGED),
            _MLEARN, f"mlearn/{element}_training.extxyz", f"mlearn/{element}_test.extxyz",
            f"{element}_training: 90 % training, 10 % validation frames by seed 0; {element}_test as published", 0.1,
            batch=2, loss=_SOLID, exchanged=element != "Mo",
        )
        for element, name in (("Si", "silicon"), ("Ge", "germanium"), ("Mo", "molybdenum"))
    },
    "water_monomer": Task(
        "Water monomer: dipole and polarizability", "CCSD/d-aug-cc-pVTZ; TENSOAP",
        _CCSD, "water_response/water_monomer_1000.xyz", None,
        f"700 training, 100 validation, 200 test {_ANY}; later runs leave out one validation and one test frame, which "
        "repeat training frames", 0.0, (700, 100, 200), batch=10,
        loss=LossWeights(dipole=1.0, polarizability=1.0),
    ),
    "sio2": Task(
        "α-quartz, 72 atoms", "PBE (Quantum ESPRESSO); allegro-pol, Falletta et al. 2025",
        _QE, "sio2_response/SiO2.xyz", None,
        f"161 training, 20 validation, 20 test {_ANY}; frames of one source, so neighbours in time may be in both", 0.0,
        (161, 20, 20), batch=1, loss=_SOLID,
    ),
}  # fmt: skip
