"""i-PI and the models of this package: the protocol against ASE's server, the dynamics against i-PI's own."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.socketio import SocketIOCalculator
from ase.io import write
from ase.units import Bohr, Hartree, kB

from painn_ase import PaiNNCalculator
from painn_ase.cli import main
from painn_ase.engines.ipi import Potential, direct, serve
from painn_ase.errors import InputError
from painn_ase.simulate import run_rpmd
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import THERMOSTATS
from painn_ase.simulate.ring_polymer.beads import ipi_frame
from painn_ase.simulate.ring_polymer.estimators import primitive_kinetic_energy, virial_kinetic_energies
from painn_ase.simulate.run.averages import estimate

from helpers.random_models import random_model
from helpers.systems import bundled_ethanol as ethanol

EXAMPLE = Path(__file__).parents[2] / "examples" / "ipi"
needs_ipi = pytest.mark.skipif(
    importlib.util.find_spec("ipi") is None, reason="the optional package ipi is absent: pip install 'painn-ase[ipi]'"
)


def name():
    return f"painn_test_{uuid.uuid4().hex[:12]}"


def environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


# ---- against ASE's server


def periodic():
    from helpers.systems import triclinic

    atoms = triclinic()
    atoms.calc = PaiNNCalculator(random_model(features=8), dtype="float64")
    return atoms


@pytest.mark.parametrize("build", [ethanol, periodic])
@pytest.mark.parametrize("socket", ["unix", "tcp"])
def test_client_gives_the_numbers_of_the_calculator_to_another_server(build, socket):
    """ASE's SocketIOCalculator is an independent server of the protocol, with its own units and signs."""
    atoms = build()
    at = name()
    port = 20000 + os.getpid() % 20000
    keywords = {"unixsocket": at} if socket == "unix" else {"port": port}
    with SocketIOCalculator(**keywords) as server:
        mirror = atoms.copy()
        mirror.calc = server
        where = {"unix": at} if socket == "unix" else {"host": "localhost", "port": port}
        client = threading.Thread(target=serve, args=(atoms,), kwargs=where | {"patience": 20.0})
        client.start()
        for move in range(3):
            mirror.positions += 0.02 * np.sin(np.arange(mirror.positions.size) + move).reshape(-1, 3)
            if mirror.pbc.all():
                mirror.set_cell(mirror.cell.array * [1.01, 1.0, 0.99], scale_atoms=True)
            moved = build()
            moved.positions, moved.cell = mirror.positions, mirror.cell
            # the server converts with constants of its own
            assert mirror.get_potential_energy() == pytest.approx(moved.get_potential_energy(), rel=1e-7)
            np.testing.assert_allclose(mirror.get_forces(), moved.get_forces(), atol=2e-5)
            if mirror.pbc.all():
                np.testing.assert_allclose(mirror.get_stress(), moved.get_stress(), atol=1e-8)
    client.join(timeout=20)
    assert not client.is_alive()


def test_potential_is_in_atomic_units_with_extras():
    atoms = ethanol()
    answers = Potential(atoms, ("dipole", "polarizability"))(
        np.stack([np.eye(3) * 99] * 3), np.stack([atoms.positions / Bohr + k for k in range(3)])
    )
    assert len(answers) == 3
    for answer in answers:
        assert answer.energy * Hartree == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(answer.forces * Hartree / Bohr, atoms.get_forces(), atol=2e-5)
        extras = json.loads(answer.extras)
        np.testing.assert_allclose(np.array(extras["dipole"]) * Bohr, atoms.get_dipole_moment(), atol=1e-5)
        alpha = np.array(extras["polarizability"]) * Bohr**2 / Hartree
        np.testing.assert_allclose(alpha, atoms.calc.get_polarizability(atoms), atol=1e-5)
        assert (answer.virial == 0).all()


def test_impossible_requests_get_a_sentence(tmp_path):
    with pytest.raises(InputError, match="did you mean 'dipole'"):
        Potential(ethanol(), ("dipol",))
    with pytest.raises(InputError, match=r"i-PI sends 3 atoms, and the structure here has 9"):
        Potential(ethanol())(np.eye(3)[None], np.zeros((1, 3, 3)))
    with pytest.raises(InputError, match="no i-PI server answers at /tmp/ipi_nobody_is_here"):
        serve(ethanol(), unix="nobody_is_here", patience=0.0)
    without = molecule("CH3CH2OH")
    without.calc = PaiNNCalculator(random_model(heads={"energy": {}}, features=8), dtype="float64")
    with pytest.raises(InputError, match="has no dipole"):
        Potential(without, ("dipole",))


def test_path_of_the_in_process_potential_is_printed(capsys):
    assert main(["ipi-driver", "ethanol", "--pes-path"]) == 0
    assert capsys.readouterr().out.strip() == direct.__file__


def test_in_process_potential_answers_for_one_structure_and_for_a_list():
    """What i-PI's <ffdirect> calls: parameters as texts, bohr in, atomic units out."""
    atoms = ethanol()
    potential = direct.PaiNNDriver("ethanol", extras="dipole polarizability", dtype="float64", verbosity="high")
    atoms.calc = PaiNNCalculator("ethanol", dtype="float64")
    cell, positions = np.eye(3) * 99, atoms.positions / Bohr
    one = potential(cell, positions)
    assert one.energy * Hartree == pytest.approx(atoms.get_potential_energy(), rel=2e-8)  # CODATA
    np.testing.assert_allclose(one.forces * Hartree / Bohr, atoms.get_forces(), atol=1e-6)
    np.testing.assert_allclose(np.array(json.loads(one.extras)["dipole"]) * Bohr, atoms.get_dipole_moment(), atol=1e-7)
    moved = positions + 0.02 * np.sin(np.arange(positions.size)).reshape(-1, 3)
    several = potential([cell, cell], [positions, moved])
    assert len(several) == 2
    np.testing.assert_allclose(several[0].forces, one.forces, atol=1e-12)
    np.testing.assert_allclose(several[1].forces, potential(cell, moved).forces, atol=1e-12)
    assert several[0].energy < several[1].energy
    structure = direct.PaiNNDriver("ethanol", structure="ethanol")
    assert structure(cell, positions).extras == ""


# ---- with i-PI


NVE = """
<simulation verbosity='quiet' safe_stride='1000000'>
  <output prefix='{prefix}'/>
  <total_steps> 1000000 </total_steps>
  <prng><seed> 1 </seed></prng>
  <ffdirect name='painn'>
    <pes> custom </pes>
    <pes_path> {pes} </pes_path>
    <parameters> {{model: ethanol}} </parameters>
    <batch_size> {beads} </batch_size>
  </ffdirect>
  <system>
    <initialize nbeads='{beads}'>
      <file mode='xyz'> init.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities>
    </initialize>
    <forces><force forcefield='painn'/></forces>
    <ensemble><temperature units='kelvin'> 300 </temperature></ensemble>
    <motion mode='dynamics'>
      <dynamics mode='{mode}' splitting='baoab'>
        <timestep units='femtosecond'> {timestep} </timestep>
        {bath}
      </dynamics>
    </motion>
  </system>
</simulation>
"""

STEPPING = """
import json, sys
import numpy as np
from ase.io import read, write
from ipi.scripting import InteractiveSimulation
simulation = InteractiveSimulation(open("input.xml").read())
simulation.set_structures(read("start.traj", ":"))
simulation.run({steps}, write_outputs=False)
names = ("potential", "kinetic_cv", "kinetic_td")
print(json.dumps({{name: float(simulation.properties(name)) for name in names}}))
np.save("end.npy", np.array([image.positions for image in simulation.get_structures()]))
"""


def test_files_of_beads_are_what_i_pi_starts_from():
    assert (EXAMPLE / "init.xyz").read_text() == ipi_frame(ethanol(), ethanol().positions)


@needs_ipi
def test_undamped_beads_take_the_path_that_i_pi_gives_them(tmp_path):
    """The same start, 40 steps of RPMD by two independent integrators; the same model evaluates both."""
    beads, steps = 8, 40
    atoms = ethanol()
    ring = Ring(beads, atoms.get_masses(), 300.0, 0.25)
    polymers = Replicas(
        ring, batch.evaluator(atoms), atoms.positions, THERMOSTATS["pile-l"], [np.random.default_rng(0)]
    )
    polymers.start()
    for _ in range(100):
        polymers.step()
    polymers.use(THERMOSTATS["none"])
    images = []
    for x, v in zip(polymers.positions[0], polymers.velocities[0], strict=True):
        image = atoms.copy()
        image.calc = None
        image.positions = x
        image.set_cell([100, 100, 100])
        image.set_velocities(v)
        images.append(image)
    write(tmp_path / "start.traj", images)
    (tmp_path / "init.xyz").write_text(ipi_frame(atoms, atoms.positions))
    (tmp_path / "input.xml").write_text(
        NVE.format(prefix="x", pes=direct.__file__, beads=beads, mode="nve", timestep=0.25, bath="")
    )
    done = subprocess.run(
        [sys.executable, "-c", STEPPING.format(steps=steps)],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    theirs = json.loads(done.stdout.strip().splitlines()[-1])
    for _ in range(steps):
        found = polymers.step()
    # masses of hydrogen differ in the fifth digit, constants in the seventh
    np.testing.assert_allclose(np.load(tmp_path / "end.npy"), polymers.positions[0], atol=2e-4)
    centre = 1.5 * kB * 300  # i-PI counts the centre of mass that is at rest
    virial = virial_kinetic_energies(ring, polymers.positions, polymers.forces).sum() + centre
    primitive = primitive_kinetic_energy(ring, polymers.spring_energy)[0] + centre
    assert theirs["potential"] == pytest.approx(found["energy"].mean(), abs=1e-3)
    assert theirs["kinetic_cv"] == pytest.approx(virial, abs=1e-3)
    assert theirs["kinetic_td"] == pytest.approx(primitive, abs=1e-2)


@needs_ipi
@pytest.mark.parametrize("batch", [1, 32])
def test_example_input_runs_with_the_driver(batch, tmp_path):
    """The example as it stands, but for its length; by batches too, where i-PI offers them."""
    address = name()
    text = (EXAMPLE / "input.xml").read_text().replace("<total_steps> 40000", "<total_steps> 8")
    text = text.replace("<address> ethanol", f"<address> {address}")
    if batch > 1:
        text = text.replace("<latency>", f"<batch_size> {batch} </batch_size>\n    <latency>")
    (tmp_path / "input.xml").write_text(text)
    (tmp_path / "init.xyz").write_text((EXAMPLE / "init.xyz").read_text())
    program = [str(Path(sys.executable).with_name("i-pi")), "input.xml"]
    server = subprocess.Popen(
        program, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        count = serve(ethanol(), unix=address, extras=("dipole", "polarizability"), patience=60)
        out, _ = server.communicate(timeout=60)
    finally:
        server.kill()
    assert server.returncode == 0, out.decode()
    assert count >= 32 * 8
    rows = np.loadtxt(tmp_path / "ethanol.out")
    assert rows[:, 0].tolist() == [0, 4, 8]
    atoms = ethanol()
    assert rows[0, 4] == pytest.approx(atoms.get_potential_energy(), abs=1e-3)
    assert rows[0, 5] == pytest.approx(13.5 * kB * 300, rel=1e-4)  # all beads in one place
    dipole = np.loadtxt(tmp_path / "ethanol.dipole_07", comments="#")[0] * Bohr
    np.testing.assert_allclose(dipole, atoms.get_dipole_moment(), atol=1e-4)


SAMPLING = """
import json
import numpy as np
from ipi.scripting import InteractiveSimulation
simulation = InteractiveSimulation(open("input.xml").read())
simulation.run(500, write_outputs=False)
rows = []
for _ in range({samples}):
    simulation.run(4, write_outputs=False)
    names = ("potential", "kinetic_cv", "kinetic_td", "temperature")
    rows.append([float(simulation.properties(name)) for name in names])
np.save("rows.npy", np.array(rows))
"""


@pytest.mark.slow
@needs_ipi
def test_averages_agree_with_those_of_i_pi(tmp_path):
    """32 beads of ethanol at 300 K by PILE-G in both, 2.5 ps each after equilibration, the same model.

    Both by BAOAB, so that averages agree at any time step. i-PI goes on from the last beads of ours, with momenta of
    its own and 0.25 ps to forget them.
    """
    atoms = ethanol()
    run = run_rpmd(
        atoms, beads=32, steps=5000, timestep=0.5, thermostat="pile-g", equilibration=1.0, every=4, seed=5,
        record={"bead_positions": 5000}, path=tmp_path / "ours", progress=False,
    )  # fmt: skip
    beads = run.observables("bead_positions")[1][-1]
    (tmp_path / "init.xyz").write_text("".join(ipi_frame(atoms, x, bead=k) for k, x in enumerate(beads)))
    bath = "<thermostat mode='pile_g'><tau units='femtosecond'> 100 </tau></thermostat>"
    text = NVE.format(prefix="x", pes=direct.__file__, beads=32, mode="nvt", timestep=0.5, bath=bath)
    (tmp_path / "input.xml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", SAMPLING.format(samples=1250)],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=3000, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    rows = np.load(tmp_path / "rows.npy")
    centre = 1.5 * kB * 300
    ours = run.averages
    shifts = {"potential_energy": 0.0, "kinetic_energy": centre, "kinetic_energy_primitive": centre}
    for column, (key, shift) in enumerate(shifts.items()):
        theirs, their_error, _ = estimate(rows[:, column])
        mean, error = ours[key]
        assert abs(theirs - mean - shift) < 4 * np.hypot(error, their_error), key
        assert np.hypot(error, their_error) < 0.05, key
