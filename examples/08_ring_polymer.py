"""Nuclear quantum effects: a ring polymer of ethanol, its kinetic energies, and structures for active learning.

The same at the command line:
    painn-ase rpmd ethanol --beads 32 --temperature 300 --steps 20000 --record dipole polarizability
    painn-ase spectrum ethanol --beads 32 --trajectories 8 --length 5
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase.io import read
from ase.units import kB

from painn_ase import PaiNNCalculator
from painn_ase.simulate import Beads, run_rpmd
from painn_ase.structures import read_structure

atoms = read_structure("ethanol")
atoms.calc = PaiNNCalculator("ethanol")

with TemporaryDirectory() as folder:
    path = Path(folder, "ethanol_16")
    run = run_rpmd(
        atoms,
        beads=16,  # 32 for converged O-H and C-H stretches at 300 K
        temperature=300,  # K
        timestep=0.5,  # fs
        steps=600,  # for real use a hundred times as many
        equilibration=0.1,  # ps
        thermostat="pile-g",  # "trpmd" for spectra
        record={"dipole": 4, "heat_capacity": 40},
        save_beads=Beads(every=200, count=4),  # extended XYZ, ready for `painn-ase label`
        path=path,
    )
    print(run)

    kinetic, error = run.averages["kinetic_energies"]
    hydrogen = atoms.numbers == 1
    classical = 1.5 * kB * 300
    print(f"\nkinetic energy of a hydrogen: {kinetic[hydrogen].mean() / classical:.2f} times the classical one")
    _, dipoles = run.observables("dipole")  # means over the beads: painn_ase.spectra takes them as they are
    print(f"mean dipole {np.linalg.norm(dipoles, axis=1).mean():.3f} e·Å over {len(dipoles)} rows")
    frames = read(f"{path}.beads.xyz", ":")
    print(f"{len(frames)} structures to label, e.g. step {frames[-1].info['step']}, bead {frames[-1].info['bead']}")
