"""Parts of a build by themselves: the line a minute, what a spectrum is asked for."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import molecule

from painn_ase.build import explore, finish, judge
from painn_ase.build.pulse import Pulse
from painn_ase.build.rounds import Rounds
from painn_ase.cards.measure.harmonic import HarmonicCheck
from painn_ase.errors import InputError, SimulationError
from painn_ase.spectra import NormalModes
from painn_ase.structures import read_structure


class Said:
    """A state that has run for ten minutes and keeps what it is told."""

    seconds = 600.0

    def __init__(self):
        self.lines, self.kept, self.facts = [], 0, {}

    def say(self, text):
        self.lines.append(text)

    def keep_time(self):
        self.kept += 1

    def put(self, **facts):
        self.facts |= facts


def test_a_pulse_says_what_is_done_how_long_it_takes_and_when_the_budget_ends():
    pulse = Pulse(Said(), hours=1.0)
    pulse.doing("training")
    assert pulse.line() == "training; 10 min so far, the budget ends in 50 min"
    pulse.doing("training", share=0.25)
    pulse._since = time.monotonic() - 100.0
    assert "training, 25 %, about 5 min more; 10 min so far" in pulse.line()
    pulse.round_seconds, pulse.round_began, pulse.rounds_left = 600.0, time.monotonic(), 2
    assert pulse.line().endswith("this round about 10 min more, and 2 more (30 min) if errors fall as they did")


def test_a_pulse_beats_while_its_block_lasts():
    state = Said()
    pulse = Pulse(state, hours=1.0, every=0.01)
    pulse.doing("labels")
    with pulse.beating():
        time.sleep(0.2)
    count = len(state.lines)
    assert count == state.kept >= 2
    assert all(line.startswith("labels; ") for line in state.lines)
    time.sleep(0.05)
    assert len(state.lines) == count


@pytest.mark.parametrize("beads", [1, 2])
def test_frames_outside_of_the_data_are_marked_and_unlike_ones_are_chosen(monkeypatch, beads):
    monkeypatch.setattr(explore, "CopiesMonitor", lambda _atoms: lambda _positions, _forces: {beads: "far"})
    start = read_structure("ethanol-small")
    met = explore.explore(["ethanol-small"], [start], temperature=100.0, beads=beads, trajectories=3, ps=0.4)
    strange = [atoms for atoms in met.frames if atoms.info.get(explore.OUTSIDE)]
    assert {atoms.info["trajectory"] for atoms in strange} == {1}  # whose first bead is copy number `beads`
    assert 3 * len(strange) == len(met.frames)
    assert len(strange) == len(met.outside) == 3  # looks, at 300, 350 and 400 fs
    chosen = Rounds._outside(SimpleNamespace(), strange, 2, [start])
    assert len(chosen) == 2
    assert all(atoms.info["why"] == "outside" for atoms in chosen)
    assert Rounds._outside(SimpleNamespace(), [], 2, [start]) == []


def test_a_group_that_turns_freely_is_left_out_of_the_frequencies_and_named(monkeypatch):
    displacements = np.tile(0.4, (3, 2, 3))
    reference = SimpleNamespace(
        frequencies=np.array([-18.0, 400.0, 900.0]), modes=NormalModes(np.array([-18.0, 400.0, 900.0]), displacements)
    )
    model = SimpleNamespace(frequencies=np.array([20.0, 402.0, 894.0]), infrared=None)
    reference.infrared = None

    def check(_models, _frames, temperature):
        return HarmonicCheck(reference, model, np.arange(3), np.ones(3), 0.0, 7, temperature)

    monkeypatch.setattr(judge, "harmonic_check", check)
    (found,) = judge.frequencies([], [], 5.0, True, 300.0)
    assert found.holds
    assert found.value == pytest.approx(4.0)
    assert found.text.endswith("at 900 cm⁻¹; left out, for it turns freely at 300 K: 18i cm⁻¹")
    assert not judge.frequencies([], [], 5.0, True, 0.3)[0].holds  # at 0.3 K it does not turn


@pytest.mark.parametrize(("beads", "timestep", "every"), [(1, 0.5, 4), (8, 0.25, 8)])
def test_spectra_are_those_asked_for_and_learned_and_their_failure_is_a_sentence(
    tmp_path, monkeypatch, beads, timestep, every
):
    asked = SimpleNamespace(wants_infrared=True, wants_raman=True, temperature=300.0, beads=beads, seed=0)
    setup = SimpleNamespace(request=asked, learned=("energy", "forces", "dipole"), structures=[molecule("CH3CH2OH")])
    state = Said()
    state.folder = tmp_path
    rounds = SimpleNamespace(setup=setup, state=state, yardstick=[])
    met = {}
    monkeypatch.setattr(finish, "simulate_spectra", lambda _atoms, **given: met.update(given))
    said = finish.run_spectra(rounds, 1, ["ethanol-small"])
    assert said.startswith("infrared at 300 K")
    assert met["spectra"] == ["infrared"]
    assert (met["protocol"].timestep, met["protocol"].every, met["protocol"].beads) == (timestep, every, beads)

    def refuses(_atoms, resume, **given):
        met["resume"] = [*met.get("resume", []), resume]
        if resume:
            raise InputError("begun with other settings")

    (tmp_path / "spectrum").mkdir()
    (tmp_path / "spectrum/run.restart.npz").touch()
    met.clear()
    monkeypatch.setattr(finish, "simulate_spectra", refuses)
    assert finish.run_spectra(rounds, 1, ["ethanol-small"]).startswith("infrared at 300 K")
    assert met["resume"] == [True, False]

    def fails(_atoms, **_given):
        raise SimulationError("too hot")

    monkeypatch.setattr(finish, "simulate_spectra", fails)
    assert finish.run_spectra(rounds, 1, ["ethanol-small"]) == "no spectra: too hot"
    setup.learned = ("energy", "forces")
    assert finish.run_spectra(rounds, 1, ["ethanol-small"]) is None
