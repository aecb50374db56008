"""The end of a build: model folders, their cards, the spectra that were asked for."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from ase import Atoms

from painn_ase.build.batches import WHY
from painn_ase.build.rounds import Rounds
from painn_ase.calculator import PaiNNCalculator
from painn_ase.cards.measure import Measurements, harmonic_check, measure
from painn_ase.data.identity import unlabelled
from painn_ase.errors import InputError, MissingPackageError, PainnError
from painn_ase.simulate import Protocol, simulate_spectra
from painn_ase.structures import EXAMPLE, write_frames

MODEL, SPECTRUM, PICTURE, AUDIT = "model", "spectrum", "harmonic.png", "audit.extxyz"
TRAJECTORIES, LENGTH, EQUILIBRATION = 20, 10.0, 5.0  # of a spectrum; ps


def best_first(rounds: Rounds, number: int) -> list[Path]:
    """Model folders of a round, the one whose frequencies are best first, else as they are."""
    members = [rounds.state.folder / name for name in rounds.state.rounds[number - 1]["members"]]
    if not rounds.yardstick:
        return members
    temperature = rounds.setup.request.temperature

    def deviation(folder: Path) -> float:
        try:
            return harmonic_check(str(folder), rounds.yardstick, temperature=temperature).mae
        except InputError:
            return float("inf")

    return sorted(members, key=deviation)


def place_models(rounds: Rounds, number: int) -> list[Path]:
    """Copies of the members of a round as `model`, `model-2`, ..., with their cards; the best one first."""
    names = [MODEL if k == 0 else f"{MODEL}-{k + 1}" for k in range(rounds.setup.request.committee)]
    folders = [rounds.state.folder / name for name in names]
    for source, target in zip(best_first(rounds, number), folders, strict=True):
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copytree(source, fresh)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(fresh, target)
        write_frames(target / EXAMPLE, [_example(rounds)])
    return folders


def write_cards(rounds: Rounds, number: int, folders: list[Path]) -> None:
    """Measures the models on the last round's random frames, which trained nothing, and on the yardstick."""
    folder = rounds.state.folder
    audit = [atoms for atoms in rounds.batches.labelled(number + 1) if atoms.info.get(WHY) == "audit"]
    test: list[str] = []
    if audit:
        write_frames(folder / AUDIT, audit)
        test = [str(folder / AUDIT)]
    harmonic = [str(path) for path in sorted((folder / "yardstick").glob("all.extxyz"))]
    for k, model in enumerate(folders):
        others = [str(other) for other in folders if other != model] if k == 0 else []
        picture = str(folder / PICTURE) if harmonic and k == 0 else None
        wanted = Measurements(
            test=test, harmonic=harmonic, picture=picture, temperature=rounds.setup.request.temperature
        )
        try:
            measure(str(model), wanted, others, say=lambda _text: None)
        except MissingPackageError:
            measure(str(model), replace(wanted, picture=None), others, say=lambda _text: None)
        except InputError as error:  # a model too rough for a harmonic check
            rounds.state.say(f"card of {model.name}: {error}")
            measure(str(model), replace(wanted, harmonic=(), picture=None), others, say=lambda _text: None)


def run_spectra(rounds: Rounds, number: int, folders: list[Path]) -> str | None:
    """Spectra of the mean of a round's committee, in the folder `spectrum`; a sentence, None where none are asked."""
    request = rounds.setup.request
    kinds = ["infrared"] * (request.wants_infrared and "dipole" in rounds.setup.learned)
    kinds += ["raman"] * (request.wants_raman and "polarizability" in rounds.setup.learned)
    if not kinds:
        return None
    atoms = _example(rounds)
    atoms.calc = PaiNNCalculator([str(folder) for folder in folders])
    protocol = Protocol(
        temperature=request.temperature,
        trajectories=TRAJECTORIES,
        length=LENGTH,
        equilibration=EQUILIBRATION,
        timestep=0.25 if request.beads > 1 else 0.5,
        every=8 if request.beads > 1 else 4,
        beads=request.beads,
        seed=request.seed,
    )
    path = rounds.state.folder / SPECTRUM
    begun = {"round": number, "kinds": kinds}
    resume = rounds.state.facts.get("spectra") == begun and (path / "run.restart.npz").exists()
    rounds.state.put(spectra=begun)
    for going_on in (True, False) if resume else (False,):
        try:
            simulate_spectra(
                atoms,
                path=path,
                spectra=kinds,
                protocol=protocol,
                resume=going_on,
                overwrite=not going_on,
                progress=False,
            )
            break
        except PainnError as error:
            if not (going_on and isinstance(error, InputError)):  # that one was begun otherwise: anew
                return f"no spectra: {error}"
    return f"{' and '.join(kinds)} at {request.temperature:g} K, {TRAJECTORIES} trajectories of {LENGTH:g} ps: {path}"


def _example(rounds: Rounds) -> Atoms:
    """The structure that goes with the model: the reference's minimum where it is known."""
    middle = [atoms for atoms in rounds.yardstick if "displaced_atom" not in atoms.info]
    return unlabelled(middle[0]) if middle else unlabelled(rounds.setup.structures[0])
