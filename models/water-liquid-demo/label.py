"""Boxes of liquid water and their labels: python label.py FRAMES SEED OUTPUT [MODEL]

Geometries come from Langevin dynamics of 32 molecules, 1 ps apart, at 250 to 600 K and 0.85 to 1.15 g/cm³: of flexible
TIP3P in OpenMM, or of MODEL, to add what a first model visits. Labels are single points of GFN1-xTB with periodic
boundaries by tblite (Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017)): energy in eV, forces in
eV/Å, stress in eV/Å³. About 1.5 CPU seconds a box.
"""

import sys
from collections.abc import Iterator

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.md.langevin import Langevin
from ase.optimize import FIRE
from tblite.ase import TBLite

MOLECULES = 32
FRAMES_EACH = 10  # of one temperature and density


def main(frames: int, seed: int, output: str, model: str | None = None) -> None:
    random = np.random.default_rng(seed)
    for start in range(0, frames, FRAMES_EACH):
        temperature, density = random.uniform(250, 600), random.uniform(0.85, 1.15)
        atoms = lattice(density, random)
        sample = by_model(atoms, temperature, model, random) if model else by_tip3p(atoms, temperature, random)
        for _ in range(min(FRAMES_EACH, frames - start)):
            atoms.positions = next(sample)
            atoms.info = {"temperature": round(temperature, 1), "density": round(density, 4), "seed": seed}
            write(output, labelled(atoms), append=True)


def lattice(density: float, random: np.random.Generator) -> Atoms:
    """Molecules of random orientation in a cube of `density` g/cm³, far enough apart to begin with."""
    edge = (MOLECULES * 18.015 / 0.60221408 / density) ** (1 / 3)
    atoms = Atoms(pbc=True, cell=[edge] * 3)
    for place in list(np.ndindex(4, 3, 3))[:MOLECULES]:
        water = molecule("H2O")
        water.rotate(float(random.uniform(0, 360)), random.normal(size=3))
        water.translate(np.array(place) * edge / (4, 3, 3))
        atoms += water
    return atoms


def by_tip3p(atoms: Atoms, temperature: float, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Positions in Å, after 5 ps, then every ps. A cutoff of 4 Å with PME: geometries need no better."""
    import openmm as mm
    from openmm import app, unit

    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(MOLECULES):
        residue = topology.addResidue("HOH", chain)
        oxygen, *hydrogens = (
            topology.addAtom(name, app.Element.getBySymbol(name[0]), residue) for name in ("O", "H1", "H2")
        )
        for hydrogen in hydrogens:
            topology.addBond(oxygen, hydrogen)
    topology.setPeriodicBoxVectors(np.asarray(atoms.cell) / 10)
    system = app.ForceField("tip3p.xml").createSystem(
        topology, nonbondedMethod=app.PME, nonbondedCutoff=0.4, rigidWater=False, constraints=None
    )
    integrator = mm.LangevinMiddleIntegrator(temperature, 5.0, 0.0005)
    integrator.setRandomNumberSeed(int(random.integers(1, 2**31 - 1)))
    simulation = app.Simulation(topology, system, integrator, mm.Platform.getPlatformByName("CPU"), {"Threads": "1"})
    simulation.context.setPositions(atoms.positions / 10)
    simulation.minimizeEnergy(maxIterations=200)
    simulation.step(8000)
    while True:
        simulation.step(2000)
        positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)
        yield positions.value_in_unit(unit.angstrom)


def by_model(atoms: Atoms, temperature: float, model: str, random: np.random.Generator) -> Iterator[np.ndarray]:
    """The same by a trained model."""
    from painn_ase import PaiNNCalculator

    moving = Atoms(atoms, calculator=PaiNNCalculator(model))
    FIRE(moving, logfile=None).run(fmax=0.5, steps=100)
    dynamics = Langevin(moving, 0.5 * units.fs, temperature_K=temperature, friction=0.02 / units.fs, rng=random)
    dynamics.run(4000)
    while True:
        dynamics.run(2000)
        yield moving.positions


def labelled(atoms: Atoms) -> Atoms:
    engine = TBLite(method="GFN1-xTB", verbosity=0)
    done = atoms.copy()
    done.wrap()
    done.calc = engine
    energy, forces, stress = done.get_potential_energy(), done.get_forces(), done.get_stress()
    done.calc = SinglePointCalculator(done, energy=energy, forces=forces, stress=stress)
    return done


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
