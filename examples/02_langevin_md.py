"""Langevin dynamics at 300 K: once with ASE's own driver, once with run_md, which records and guards."""

from tempfile import TemporaryDirectory

import numpy as np
from ase import units
from ase.md.langevin import Langevin

from painn_ase import PaiNNCalculator, run_md
from painn_ase.structures import read_structure

atoms = read_structure("ethanol")
atoms.calc = PaiNNCalculator("ethanol")

# Plain ASE always works:
rng = np.random.default_rng(0)
with Langevin(atoms, 0.5 * units.fs, temperature_K=300, friction=0.01 / units.fs, rng=rng, fixcm=False) as md:
    md.run(200)
print(f"after 0.1 ps: {atoms.get_temperature():.0f} K, {atoms.get_potential_energy():.3f} eV")

# The same with observables in HDF5 beside the trajectory, a summary, and a stop before nonsense is integrated:
with TemporaryDirectory() as folder:
    run = run_md(atoms, temperature=300, timestep=0.5, steps=2000, record={"dipole": 2}, path=f"{folder}/ethanol")
    print(run)
    time, dipole = run.observables("dipole")  # fs; (frames, 3) in e·Å
    print(f"{len(time)} dipoles, mean length {np.linalg.norm(dipole, axis=1).mean():.3f} e·Å")
