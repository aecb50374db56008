"""Whether two runs are the same to the last bit: every row, frame, bead and saved number."""

import json
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms
from ase.io.trajectory import Trajectory

from painn_ase.simulate import Run
from painn_ase.simulate.run.recorder import file
from painn_ase.simulate.run.restart import Restart

FREE = ("wall_seconds", "seconds")


def frames_of(path: Path) -> list[Atoms]:
    """All frames of an ASE trajectory."""
    with Trajectory(path) as frames:
        return list(frames)


def check_same_frames(one: Path, other: Path) -> None:
    """The same atoms, motion, results and notes in the same number of frames."""
    for a, b in zip(frames_of(one), frames_of(other), strict=True):
        assert a.info == b.info
        np.testing.assert_array_equal(a.numbers, b.numbers)
        np.testing.assert_array_equal(a.positions, b.positions)
        np.testing.assert_array_equal(a.cell.array, b.cell.array)
        np.testing.assert_array_equal(a.get_momenta(), b.get_momenta())
        assert (a.calc is None) == (b.calc is None)
        if a.calc is not None:
            assert a.calc.name == b.calc.name
            assert a.calc.results.keys() == b.calc.results.keys()
            for name, value in a.calc.results.items():
                np.testing.assert_array_equal(value, b.calc.results[name])


def check_same_observables(one: Run, other: Run) -> None:
    """The same rows, up to the last sync of both."""
    assert one.names == other.names
    for name in one.names:
        for a, b in zip(one.observables(name), other.observables(name), strict=True):
            np.testing.assert_array_equal(a, b)


def check_same_state(one: Path, other: Path) -> None:
    """Restart files that would go on alike."""
    a, b = Restart.load(one), Restart.load(other)
    assert (a.step, a.identity) == (b.step, b.identity)
    assert {k: v for k, v in a.values.items() if k not in FREE} == {k: v for k, v in b.values.items() if k not in FREE}
    assert a.arrays.keys() == b.arrays.keys()
    for name, array in a.arrays.items():
        np.testing.assert_array_equal(array, b.arrays[name])


def check_same_run(one: Path, other: Path) -> None:
    """Two runs of `run_md` or `run_rpmd` with all their files."""
    a, b = Run.load(one), Run.load(other)
    assert a.metadata == b.metadata
    assert a.summary["complete"] == b.summary["complete"]
    check_same_observables(a, b)
    assert a.trajectory.exists() == b.trajectory.exists()
    if a.trajectory.exists():
        check_same_frames(a.trajectory, b.trajectory)
    check_same_state(file(one, ".restart.npz"), file(other, ".restart.npz"))
    beads = [sorted(p.name.removeprefix(path.name) for path in (run,) for p in path.parent.glob(f"{path.name}.beads*"))
             for run in (one, other)]  # fmt: skip
    assert beads[0] == beads[1]
    for name in beads[0]:
        assert file(one, name).read_bytes() == file(other, name).read_bytes()


def readable(path: Path) -> int:
    """The last step that the files of a run claim to be whole; fails where one of them cannot be read in full."""
    last = -1
    if file(path, ".h5").exists():
        with h5py.File(file(path, ".h5"), "r", libver=("v110", "v110"), swmr=True) as data:
            json.loads(data.attrs["metadata"])
            if len(data["sync"]):
                last = Run.load(path).summary["steps"]
        for name in Run.load(path).names:
            assert np.isfinite(Run.load(path).observables(name)[1]).all()
    if file(path, ".traj").exists():
        assert len(frames_of(file(path, ".traj")))
    if file(path, ".restart.npz").exists():
        saved = Restart.load(file(path, ".restart.npz"))
        assert not saved.values["recorded"] or saved.step <= last
    return last
