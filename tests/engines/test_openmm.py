"""A model in OpenMM has the energy and forces of the calculator, alone and in a box of TIP3P."""

import numpy as np
import pytest
from ase.build import molecule

pytest.importorskip("openmmml", reason="needs openmm and openmmml: pip install 'painn-ase[openmm]'")

import openmm
from openmm import app, unit
from openmmml import MLPotential

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError

EV = 96.4853321  # kJ/mol


def topology_of(atoms, residue="MOL"):
    topology = app.Topology()
    one = topology.addResidue(residue, topology.addChain())
    for k, symbol in enumerate(atoms.get_chemical_symbols()):
        topology.addAtom(f"{symbol}{k}", app.Element.getBySymbol(symbol), one)
    return topology


def state_of(system, positions):
    integrator = openmm.VerletIntegrator(0.0005)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions / 10)
    return context.getState(energy=True, forces=True)


def test_a_molecule_by_name_agrees_with_the_calculator():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=1)
    system = MLPotential("painn-ase", model="ethanol").createSystem(topology_of(atoms))
    state = state_of(system, atoms.positions)
    atoms.calc = PaiNNCalculator("ethanol")
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / EV
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer) / EV / 10
    assert abs(energy / atoms.get_potential_energy() - 1) < 1e-7
    np.testing.assert_allclose(forces, atoms.get_forces(), rtol=1e-6, atol=1e-6)


def test_one_molecule_by_the_network_in_a_box_of_tip3p():
    """Mechanical embedding: E = E_box - E_molecule(TIP3P) + E_molecule(network)."""
    field = app.ForceField("tip3p.xml")
    box = app.Modeller(app.Topology(), [])
    box.addSolvent(field, boxSize=openmm.Vec3(1.5, 1.5, 1.5) * unit.nanometer)
    classical = field.createSystem(
        box.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.7, rigidWater=False, constraints=None
    )
    potential = MLPotential("painn-ase", model="water")
    mixed = potential.createMixedSystem(box.topology, classical, [0, 1, 2], mlLongRange=False)
    positions = np.array(box.positions.value_in_unit(unit.angstrom))
    both = state_of(mixed, positions).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    assert np.isfinite(both)
    # moving a far water changes both systems alike: the network sees its own molecule alone
    moved = positions.copy()
    moved[-3:] += 0.05
    change = state_of(mixed, moved).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) - both
    full = [
        state_of(classical, p).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) for p in (positions, moved)
    ]
    assert abs(change - (full[1] - full[0])) < 0.02 * max(1.0, abs(change))


def test_a_missing_model_is_a_sentence():
    with pytest.raises(InputError, match="expected model="):
        MLPotential("painn-ase")
