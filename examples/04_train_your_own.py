"""Train a small network on labelled structures, see what it is worth, and use it.

Here the labels come from ASE's EMT potential for a copper crystal; with your own extended XYZ file or ASE database
only the paths, keys and units below change. The same file works with `painn-ase train train.toml`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from painn_ase import PaiNNCalculator
from painn_ase.training import load_config, train

CONFIG = """
[data]
train = "copper.extxyz"

[data.labels]
energy = { key = "energy", unit = "eV" }
forces = { key = "forces", unit = "eV/Å" }
stress = { key = "stress", unit = "eV/Å^3" }

[data.split]
by = "seed"
validation = 0.2

[model.representation]
kind = "painn"
features = 32
interactions = 2
cutoff = 4.0

[optimizer]
learning_rate = 5e-3

[run]
epochs = 25
batch_size = 4
seed = 0
output = "copper"
"""


def labelled(seed: int):
    atoms = bulk("Cu", cubic=True).repeat((1, 1, 2))
    atoms.rattle(0.06, seed=seed)
    atoms.set_cell(atoms.cell * (0.98 + 0.002 * (seed % 20)), scale_atoms=True)
    atoms.calc = EMT()
    labels = {name: atoms.calc.get_property(name, atoms) for name in ("energy", "forces", "stress")}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


with TemporaryDirectory() as folder:
    write(Path(folder, "copper.extxyz"), [labelled(seed) for seed in range(60)])
    Path(folder, "train.toml").write_text(CONFIG, encoding="utf-8")
    trained = train(load_config(Path(folder, "train.toml")))
    print(trained.evaluations["validation"].table())

    atoms = labelled(1000)
    reference = atoms.get_potential_energy()
    atoms.calc = PaiNNCalculator(trained.folder)
    print(f"network {atoms.get_potential_energy():.3f} eV, EMT {reference:.3f} eV")
