"""From a structure to its spectra: equilibrate, run independent trajectories in lock-step, transform, report."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.units import kB
from tqdm import tqdm

from painn_ase.errors import InputError, closest
from painn_ase.files import storing, write_atomically
from painn_ase.simulate import copies, lockstep
from painn_ase.simulate.guards import SPREAD, Guards
from painn_ase.simulate.lookout import FAILURE, FLAGGED, Lookout
from painn_ase.simulate.report import FILES, Analysis, Recording, Report, analyse, check_plotting
from painn_ase.simulate.restart import Restart, cut_frames, generator_state, identity_of, restore_generator
from painn_ase.simulate.ring_polymer.motion import RingPolymers
from painn_ase.simulate.ring_polymer.ring import Ring
from painn_ase.simulate.ring_polymer.thermostat import THERMOSTATS, Thermostat
from painn_ase.spectra import dipole_rates

KINDS = ("infrared", "raman", "power")
_STATE, _ABOUT = "state.npz", "protocol.json"
_ON_THE_SIDE = (FAILURE, FLAGGED)
_SERIES = ("dipole", "dipole_rate", "polarizability", "velocities")


@dataclass(frozen=True)
class Protocol:
    """How the trajectories are made.

    Each of `trajectories` copies starts from the given structure with momenta of its own, is equilibrated for
    `equilibration` ps by Langevin dynamics (`friction` in fs⁻¹) at `temperature` (K), and then followed for `length`
    ps at constant energy, by velocity Verlet with `timestep` fs. A frame is taken every `every` steps. Translation is
    removed; a molecule keeps its rotation, which gives bands their P and R branches, unless `rotation` is False.

    With more than one of `beads` the copies are ring polymers: nuclei are quantum particles. They are equilibrated by
    PILE-L and followed by thermostatted ring-polymer dynamics (TRPMD, λ = 0.5, centroid free), and the recorded dipole
    and polarizability are means over the beads, whose correlations are Kubo-transformed.
    """

    temperature: float = 300.0
    trajectories: int = 20
    length: float = 10.0
    equilibration: float = 5.0
    timestep: float = 0.5
    every: int = 4
    friction: float = 0.01
    rotation: bool = True
    seed: int = 0
    beads: int = 1

    def __post_init__(self) -> None:
        for name in ("temperature", "length", "timestep", "friction"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(f"{name}: expected a number above 0; got {getattr(self, name)!r}")
        if not (np.isfinite(self.equilibration) and self.equilibration >= 0):
            raise InputError(f"equilibration: expected zero or more ps; got {self.equilibration!r}")
        for name in ("trajectories", "every", "beads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: expected a whole number >= 1; got {value!r}")
        if self.beads > 1 and not self.rotation:
            raise InputError(
                "rotation: a ring polymer's thermostat keeps it turning, so its rotation cannot be absent; leave "
                "rotation=False (--no-rotation) to classical trajectories, beads=1"
            )

    @property
    def equilibration_steps(self) -> int:
        return round(self.equilibration * 1000 / self.timestep)

    @property
    def frames(self) -> int:
        """Frames of each trajectory, both ends included."""
        return int(self.length * 1000 / self.timestep / self.every + 1e-9) + 1

    @property
    def steps(self) -> int:
        """Steps of each trajectory, equilibration included."""
        return self.equilibration_steps + (self.frames - 1) * self.every


def simulate_spectra(
    atoms: Atoms,
    *,
    path: str | os.PathLike,
    spectra: Iterable[str] = (),
    protocol: Protocol = Protocol(),
    analysis: Analysis = Analysis(),  # noqa: B008  (frozen)
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
    checkpoint: float = 30.0,
    guards: Guards = Guards(),  # noqa: B008  (frozen)
) -> Report:
    """The report on the spectra of a structure from independent trajectories; everything goes to the folder `path`.

    `spectra` are some of "infrared" (from the dipole, or from Born charges and velocities where the calculator has
    no dipole of the structure), "raman" (from the polarizability) and "power" (the vibrational density of states,
    from the velocities); by default all that the calculator can provide. With several `beads` in the protocol nuclei
    are quantum particles. Observables are recorded as .npy files, only those needed. All trajectories and beads advance
    together, in one evaluation per step with a `PaiNNCalculator`; with any other ASE calculator one after the other.

    Every `checkpoint` seconds the state is saved; `resume` continues a run that was stopped or killed, to the same
    numbers. Resuming a finished run repeats only the analysis, with another `analysis` if you like.
    Raises `InputError` for impossible requests, before anything is computed, and `SimulationError` when one of the
    `guards` stops a trajectory; they look at every copy at every step, equilibration included (see `Lookout`).
    """
    _check_atoms(atoms)
    guards.check(atoms.calc)
    check_plotting()
    analysis.check_length(protocol.length, protocol.timestep * protocol.every)
    folder = Path(path)
    plan = _plan(atoms, tuple(dict.fromkeys(spectra)))
    identity = {"protocol": asdict(protocol), "plan": plan, **identity_of(atoms)}
    run = _Lockstep(folder, atoms, protocol, plan, identity, guards)
    if resume:
        _resumed(run)
    else:
        _started(run, overwrite)
    run.advance(progress, checkpoint)
    return analyse(run.recording(), plan, analysis, folder)


def _plan(atoms: Atoms, wanted: tuple[str, ...]) -> dict[str, str]:
    """Spectrum -> the series it is made from; `InputError` for what the calculator cannot provide."""
    for name in wanted:
        if name not in KINDS:
            raise InputError(f"spectra: expected some of {', '.join(KINDS)}; got {name!r}{closest(name, KINDS)}")
    provided = set(atoms.calc.implemented_properties)
    sources = {
        "infrared": {"dipole": "dipole", "born_effective_charges": "dipole_rate"},
        "raman": {"polarizability": "polarizability"},
        "power": {"forces": "velocities"},
    }
    plan = {}
    for kind in wanted or KINDS:
        reasons = []
        for source, series in sources[kind].items():
            if source not in provided:
                reasons.append(f"{atoms.calc.name!r} has no {source}")
                continue
            try:
                atoms.calc.get_property(source, atoms)
            except NotImplementedError as error:
                reasons.append(str(error))
                continue
            plan[kind] = series
            break
        if kind not in plan and kind in wanted:
            raise InputError(f"spectra: {kind!r} cannot be computed: {'; '.join(reasons)}")
    return plan


class _Lockstep:
    """The trajectories of a protocol: where they are, and the files that their frames go to."""

    def __init__(
        self,
        folder: Path,
        atoms: Atoms,
        protocol: Protocol,
        plan: dict[str, str],
        identity: dict[str, Any],
        guards: Guards,
    ) -> None:
        self.folder, self.atoms, self.protocol, self.plan, self.identity = folder, atoms, protocol, plan, identity
        self.masses = atoms.get_masses()
        self.step, self.seconds = 0, 0.0
        seeds = np.random.SeedSequence(protocol.seed).spawn(protocol.trajectories)
        quantum = protocol.beads > 1
        self.free = THERMOSTATS["trpmd" if quantum else "none"]
        self.polymers = RingPolymers(
            Ring(protocol.beads, self.masses, protocol.temperature, protocol.timestep),
            copies.evaluator(atoms),
            atoms.positions,
            Thermostat(time=1 / protocol.friction),
            [np.random.default_rng(seed) for seed in seeds],
        )
        self.series: dict[str, np.ndarray] = {}
        spinning = 0 if atoms.pbc.any() or protocol.rotation else lockstep.rotations(atoms.positions, self.masses)
        self.freedom = 3 * len(atoms) - 3 - spinning
        self.lookout = Lookout(guards, guards.limit(protocol.temperature, self.freedom), atoms, folder.joinpath)
        self._spread = {SPREAD} if guards.max_disagreement is not None else set()

    # ---- time

    def advance(self, progress: bool | None, checkpoint: float) -> None:
        """Steps to the end, with a checkpoint now and then."""
        total, hidden = self.protocol.steps, None if progress is None else not progress
        if self.step > total:
            return
        saved = begun = monotonic()
        before = self.seconds
        found = self._evaluated(self.polymers.start)
        rings = f" x {self.protocol.beads} beads" if self.protocol.beads > 1 else ""
        label = f"{self.protocol.trajectories} trajectories{rings}"
        with tqdm(total=total, initial=self.step, unit="step", desc=label, disable=hidden, file=sys.stderr) as bar:
            while True:
                if self.step == self.protocol.equilibration_steps:
                    self._release()
                self._record(found)
                self.step += 1
                bar.update(self.step <= total)
                if self.step > total:
                    break
                found = self._evaluated(self.polymers.step)
                if monotonic() - saved > checkpoint:
                    self.seconds = before + monotonic() - begun
                    self.save()
                    saved = monotonic()
        self.seconds = before + monotonic() - begun
        self.save()

    def _evaluated(self, move: Callable[[list[str]], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """What the evaluation at this step found, once the guards have looked at it."""
        with self.lookout.evaluating(self.step, self.polymers):
            found = move(self._due(self.step))
        temperatures = 2 * self._centroid_kinetic() / (self.freedom * kB)
        self.lookout.inspect(self.step, self.polymers, found, temperatures)
        return found

    def _release(self) -> None:
        """The beginning of free motion: the bath goes, and a rotation that is to be absent."""
        p = self.polymers
        p.use(self.free)
        if not self.protocol.rotation and not self.atoms.pbc.any():
            momenta = p.centroid_velocities * self.masses[:, None]
            momenta = lockstep.without_rotation(p.centroids, momenta, self.masses)
            p.set_centroid_velocities(momenta / self.masses[:, None])

    def _centroid_kinetic(self) -> np.ndarray:
        return lockstep.kinetic_energy(self.polymers.centroid_velocities * self.masses[:, None], self.masses)

    # ---- frames

    def _frame(self, step: int) -> int | None:
        """The frame that this step is, if it is one."""
        after = step - self.protocol.equilibration_steps
        return after // self.protocol.every if after >= 0 and after % self.protocol.every == 0 else None

    def _due(self, step: int) -> list[str]:
        names = ["forces", *self._spread]
        if self._frame(step) is not None:
            sources = {"dipole": "dipole", "dipole_rate": "born_effective_charges", "polarizability": "polarizability"}
            names += [sources[series] for series in self.plan.values() if series in sources]
        return names

    def _record(self, found: dict[str, np.ndarray]) -> None:
        frame = self._frame(self.step)
        if frame is None:
            return
        p = self.polymers
        rows = {name: values.mean(axis=1) for name, values in found.items()}  # over the beads
        rows["energy"] = np.stack([rows["energy"], self._centroid_kinetic()], axis=1)
        rows["velocities"] = p.centroid_velocities
        if "born_effective_charges" in found:
            rows["dipole_rate"] = dipole_rates(found["born_effective_charges"], p.velocities).mean(axis=1)
        for name in ("energy", *self.plan.values()):
            if name not in self.series:
                self.series[name] = self._file(name, rows[name].shape)
            self.series[name][:, frame] = rows[name]

    def _file(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The series on disk, (trajectories, frames, ...); it has its full size, and its room, from the start."""
        path, full = self.folder / f"{name}.npy", (shape[0], self.protocol.frames, *shape[1:])
        if not path.exists():
            _reserve(path, full, np.float32 if name == "velocities" else np.float64)
        return np.lib.format.open_memmap(path, mode="r+")

    # ---- rest

    def save(self) -> None:
        """The frames so far, then, in one step, the state that vouches for them."""
        for series in self.series.values():
            series.flush()  # type: ignore[attr-defined]
        memory = {f"memory_{name}": array for name, array in self.polymers.evaluate.memory.items()}
        generators = {str(k): generator_state(g) for k, g in enumerate(self.polymers.generators)}
        arrays, values = self.polymers.state() | memory, {"seconds": self.seconds} | self.lookout.state
        Restart(self.step, self.identity, arrays, values, generators).save(self.folder / _STATE)

    def restore(self, state: Restart) -> None:
        """Takes up a saved state."""
        self.step, self.seconds = state.step, float(state.values["seconds"])
        memory = {name[7:]: array for name, array in state.arrays.items() if name.startswith("memory_")}
        self.polymers.evaluate = copies.evaluator(self.atoms, memory)
        self.polymers.restore(state.arrays)
        self.lookout.restore(state.values)
        if (self.folder / FLAGGED).exists():
            cut_frames(self.folder / FLAGGED, self.step)
        if self.step > self.protocol.equilibration_steps:
            self.polymers.use(self.free)
        for k, generator in enumerate(self.polymers.generators):
            restore_generator(generator, state.generators[str(k)])

    def recording(self) -> Recording:
        """What was recorded, to be analysed; series stay on disk until they are read."""
        about = self.protocol
        energy = np.load(self.folder / "energy.npy", mmap_mode="r")
        series = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in set(self.plan.values())}
        times = np.arange(about.frames) * about.timestep * about.every / 1000  # ps
        total = energy.sum(axis=2)
        drifts = np.polyfit(times, total.T, 1)[0] * 1000 / len(self.atoms) if about.frames > 1 else np.zeros(1)
        temperatures = 2 * energy[:, :, 1] / (self.freedom * kB)
        per_run = temperatures.mean(axis=1)
        turning = "kept" if about.rotation and not self.atoms.pbc.any() else "none"
        one = len(per_run) == 1
        facts = {
            "structure": f"{self.atoms.get_chemical_formula()}, {len(self.atoms)} atoms",
            "calculator": _model_name(self.atoms),
            "trajectories": f"{about.trajectories} of {times[-1]:g} ps {self._kind()}, {about.timestep:g} fs steps,"
            f" a frame every {about.timestep * about.every:g} fs",
            "equilibration": f"{about.equilibration:g} ps each, {'PILE-L' if about.beads > 1 else 'Langevin'} at "
            f"{about.temperature:g} K, friction {about.friction:g} fs⁻¹, seed {about.seed}",
            "rotation of the whole": turning,
            "temperature": f"{per_run.mean():.1f} K"
            + ("" if one else f" ± {per_run.std(ddof=1) / np.sqrt(len(per_run)):.1f} K")
            + f" (mean kinetic, {self.freedom} degrees of freedom; asked for: {about.temperature:g} K)",
            "energy drift": f"{drifts.mean():+.2g} meV/atom/ps on average, {np.abs(drifts).max():.2g} at worst",
            "wall time": f"{self.seconds:.0f} s for {about.trajectories * about.beads * (self.step - 1)} steps",
        }
        if about.beads > 1:
            del facts["energy drift"]  # the bath of the internal modes takes and gives
            facts["temperature"] += "; of the centroids"
        mean = float(per_run.mean())
        return Recording(series, {}, about.timestep, about.every, mean, self.masses, facts, self.atoms)

    def _kind(self) -> str:
        beads = self.protocol.beads
        return "at constant energy" if beads == 1 else f"by TRPMD with {beads} beads (λ = 0.5, centroid free)"


def _reserve(path: Path, shape: tuple[int, ...], dtype: type) -> None:
    """A .npy file of zeros that gets its name when it is whole.

    Its blocks are taken now, because a disk that is full when mapped memory reaches it ends a process without a word.
    """
    temporary = path.with_name(f".{path.name}.new")
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    try:
        with storing(path), open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.flush()
            size = file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _started(run: _Lockstep, overwrite: bool) -> None:
    folder = run.folder
    files = [
        folder / name for name in (_STATE, _ABOUT, "energy.npy", *(f"{s}.npy" for s in _SERIES), *_ON_THE_SIDE, *FILES)
    ]
    taken = [file for file in files if file.exists()]
    if taken and not overwrite:
        raise InputError(
            f"{folder} already holds a run ({taken[0].name}); continue it with resume=True (--resume), replace it with "
            "overwrite=True (--overwrite), or choose another path"
        )
    for file in taken:
        file.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / _ABOUT, json.dumps(run.identity, indent=1, ensure_ascii=False) + "\n")
    run.save()


def _resumed(run: _Lockstep) -> None:
    path = run.folder / _STATE
    if not path.is_file():
        raise InputError(f"resume: {run.folder} holds no run to continue; start one without resume (--resume)")
    state = Restart.load(path)
    state.check(run.identity, path)
    run.restore(state)


def _model_name(atoms: Atoms) -> str:
    calc = atoms.calc
    backend = f" on the {calc.backend.name} backend" if hasattr(calc, "backend") else ""
    return f"{calc.name} {getattr(calc, 'model_name', '')}".strip() + backend


def _check_atoms(atoms: Atoms) -> None:
    if len(atoms) < 2:
        raise InputError(f"a spectrum needs something that vibrates; the structure has {len(atoms)} atom(s)")
    if not isinstance(atoms.calc, BaseCalculator):
        raise InputError(
            f"the structure needs an ASE calculator; got {atoms.calc!r}. Attach one: atoms.calc = "
            "PaiNNCalculator('ethanol')"
        )
    if atoms.constraints:
        raise InputError(
            "the structure has constraints, which these trajectories do not follow: atoms.set_constraint() removes "
            "them; or record a run with run_md and pass its file to spectra_of_run"
        )
