"""What a run is asked for is converted before any file is touched: NumPy's numbers, arrays, devices, constraints.

An old run stays whole when the request for a new one in its place cannot be written.
"""

import json

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.constraints import FixAtoms, FixCartesian, FixScaled

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.plain import plain
from painn_ase.simulate import (
    MTK,
    Analysis,
    Beads,
    Langevin,
    Output,
    Protocol,
    Run,
    relax,
    run_md,
    run_rpmd,
    simulate_spectra,
)

from helpers.springs import Springs, cluster
from helpers.stopped import Forgetful
from helpers.systems import bundled_ethanol


def copper(*constraints):
    atoms = bulk("Cu", cubic=True)
    atoms.calc = Forgetful()
    atoms.set_constraint(list(constraints))
    return atoms


def ethanol_on_a_device():
    atoms = bundled_ethanol()
    atoms.calc = PaiNNCalculator("ethanol", device=torch.device("cpu"))
    return atoms


REQUESTS = {
    "barostat": lambda **where: run_md(
        copper(), ensemble="npt", barostat=MTK(pressure=np.int64(1), cell=np.array([True, True, False])),
        steps=np.int64(2), timestep=np.float32(1), temperature=np.int32(300), seed=np.int64(3), every=np.int8(1),
        **where,
    ),
    "thermostat": lambda **where: run_md(
        cluster(), thermostat=Langevin(friction=np.float32(0.01)), steps=2, record={"dipole": np.int64(2)},
        output=Output(np.int64(1), np.float32(1)), checkpoint=np.float64(1), **where,
    ),
    "device": lambda **where: run_md(ethanol_on_a_device(), steps=1, **where),
    "constraint": lambda **where: run_md(copper(FixCartesian(0, (True, False, True))), steps=2, **where),
    "scaled constraint": lambda **where: run_md(copper(FixScaled(np.int64(0))), steps=2, thermostat="bussi", **where),
    "fixed atoms": lambda **where: run_md(copper(FixAtoms(np.array([0]))), steps=2, **where),
    "beads": lambda **where: run_rpmd(
        cluster(), beads=np.int64(2), steps=np.int64(2), equilibration=np.float32(0), temperature=np.float32(300),
        save_beads=Beads(np.int64(1), np.int64(1)), seed=np.int64(1), **where,
    ),
    "relaxation": lambda **where: relax(
        copper(FixCartesian(0)), steps=np.int64(2), fmax=np.float32(0.1), checkpoint=np.float32(1), **where
    ),
}  # fmt: skip


@pytest.mark.parametrize("request_of", REQUESTS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_numbers_of_numpy_are_numbers(request_of, tmp_path):
    run = REQUESTS[request_of]
    run(path=tmp_path / "a")
    run(path=tmp_path / "a", overwrite=True)
    if request_of != "relaxation":
        json.dumps(Run.load(tmp_path / "a").metadata)
        assert "np." not in Run.load(tmp_path / "a").metadata["coupling"]
    run(path=tmp_path / "a", resume=True)  # the same request


def test_a_protocol_of_numbers_of_numpy_is_a_protocol(tmp_path):
    numbers = Protocol(
        trajectories=np.int64(2), length=np.float64(0.4), equilibration=np.float32(0.0), timestep=np.int64(1),
        every=np.int32(2), seed=np.int64(0), temperature=np.float32(300),
    )  # fmt: skip
    assert numbers == Protocol(trajectories=2, length=0.4, equilibration=0.0, timestep=1.0, every=2)
    simulate_spectra(cluster(), path=tmp_path, protocol=numbers, analysis=Analysis(150), spectra=["power"])
    assert Run.load(tmp_path / "run").metadata["protocol"]["trajectories"] == 2


class Untold(Springs):
    """A calculator with a parameter that no file can hold."""

    def todict(self):
        return {"secret": object()}


@pytest.mark.parametrize("verb", ["run_md", "run_rpmd", "relax", "simulate_spectra"])
def test_what_cannot_be_written_leaves_the_run_before_it_whole(verb, tmp_path):
    def run(atoms, **more):
        if verb == "run_md":
            return run_md(atoms, steps=2, path=tmp_path / "a", **more)
        if verb == "run_rpmd":
            return run_rpmd(atoms, beads=2, steps=2, equilibration=0, path=tmp_path / "a", **more)
        if verb == "relax":
            return relax(atoms, steps=2, path=tmp_path / "a", **more)
        protocol = Protocol(trajectories=2, length=0.4, equilibration=0, timestep=1.0, every=2)
        where = {"path": tmp_path, "protocol": protocol, "analysis": Analysis(150), "spectra": ["power"]}
        return simulate_spectra(atoms, **where, **more)

    run(cluster())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) > 1
    atoms = cluster()
    atoms.calc = Untold(atoms)
    with pytest.raises(InputError, match=r"calculator untold: a builtins.object cannot be written"):
        run(atoms, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_values_become_what_json_has():
    given = {"a": np.float32(0.5), "b": (np.int64(1), np.arange(2)), "c": torch.float64, "d": torch.device("cpu"),
             "e": np.bool_(True), "f": torch.ones(2), "g": FixAtoms([1]), "h": {3, 1}, "i": float("inf")}  # fmt: skip
    assert plain(given) == {
        "a": 0.5, "b": [1, [0, 1]], "c": "torch.float64", "d": "cpu", "e": True, "f": [1.0, 1.0],
        "g": {"name": "FixAtoms", "kwargs": {"indices": [1]}}, "h": [1, 3], "i": float("inf"),
    }  # fmt: skip
