"""What the command line says of options, files and structures: nothing is without effect or lost in silence."""

import shutil
import subprocess
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.constraints import FixAtoms, FixBondLengths
from ase.units import kB

from painn_ase.cli import VERBS, main
from painn_ase.errors import InputError
from painn_ase.model_files import find_model
from painn_ase.structures import read_structure
from painn_ase.training import read_frames


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def ethanol_with_velocities(kelvin=200):
    atoms = ase.io.read(find_model("ethanol") / "structure.xyz")
    draw = np.random.default_rng(0).normal(size=(len(atoms), 3))
    atoms.set_momenta(draw * np.sqrt(kB * kelvin * atoms.get_masses())[:, None])
    ase.io.write("eq.traj", atoms)
    return atoms


def first_momenta(name):
    return ase.io.read(f"{name}.traj@0").get_momenta()


def test_md_keeps_velocities_of_the_file_and_says_which_options_that_leaves_idle(capsys):
    atoms = ethanol_with_velocities()
    words = ["md", "eq.traj", "--model", "ethanol", "--steps", "2", "--thermostat", "none", "--temperature", "900"]
    assert main([*words, "--output", "kept"]) == 0
    said = capsys.readouterr()
    assert "--temperature has no effect" in said.err
    assert "--redraw" in said.err
    assert "900 K" not in said.out
    np.testing.assert_allclose(first_momenta("kept"), atoms.get_momenta(), atol=1e-8)
    for seed in "07":
        assert main([*words, "--output", f"new{seed}", "--redraw", "--seed", seed]) == 0
        said = capsys.readouterr()
        assert said.err.count("no effect") == 0
        assert "900 K" in said.out
    assert abs(first_momenta("new0") - first_momenta("new7")).max() > 0.1
    assert abs(first_momenta("new0") - atoms.get_momenta()).max() > 0.1


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["vibrations", "ethanol", "--no-relax", "--fmax", "0.01"], "--fmax"),
        (
            ["rpmd", "ethanol", "--beads", "2", "--steps", "1", "--equilibration", "0", "--beads-count", "1"],
            "--beads-count",
        ),
        (["sample", "c.xyz", "--model", "ethanol", "--quantum", "1", "--temperatures", "300"], "--temperatures"),
        (["label", "c.xyz", "--models", "ethanol", "--compact-basis"], "--compact-basis"),
        (["select", "c.xyz", "--count", "1", "--ceiling", "3"], "--ceiling"),
        (["check", "emt", "--only", "free energy", "--dtype", "float64"], "--dtype"),
    ],
)
def test_an_option_without_effect_is_said_to_have_none(words, option, capsys):
    ase.io.write("c.xyz", ase.io.read(find_model("ethanol") / "structure.xyz"))
    assert main(words) == 0
    assert f"warning: {option} has no effect" in capsys.readouterr().err
    given = words.index(option)
    if words[0] == "select":
        Path("selected.extxyz").unlink()
    clean = [*words[:given], *words[given + (1 if option == "--compact-basis" else 2) :]]
    main([*clean, "--overwrite"] if words[0] in ("rpmd", "sample", "label") else clean)
    assert "no effect" not in capsys.readouterr().err


def test_model_and_ensemble_exclude_each_other(capsys):
    assert main(["md", "ethanol", "--steps", "1", "--model", "ethanol", "--ensemble", "ethanol", "ethanol"]) == 2
    assert "not allowed with" in capsys.readouterr().err


def test_relax_writes_no_label_of_the_old_geometry_and_says_which_constraints_a_file_loses(capsys):
    atoms = ase.io.read(find_model("ethanol") / "structure.xyz")
    atoms.rattle(0.02, seed=1)
    atoms.info |= {"REF_energy": -1.0, "charge": 0, "source": "mine"}
    atoms.arrays["REF_forces"] = np.ones((9, 3))
    atoms.set_constraint([FixBondLengths([(0, 1)]), FixAtoms([2])])
    ase.io.write("start.traj", atoms)
    assert main(["relax", "start.traj", "--model", "ethanol", "--fmax", "0.5", "--output", "end"]) == 0
    assert "end.extxyz cannot hold FixBondLengths; the last frame of end.traj does" in capsys.readouterr().err
    final, last = ase.io.read("end.extxyz"), ase.io.read("end.traj")
    for frame in (final, last):
        assert not {"REF_energy", "REF_forces"} & (frame.info.keys() | frame.arrays.keys())
        assert frame.info["source"] == "mine"
    np.testing.assert_allclose(final.positions, last.positions, atol=1e-7)
    assert {type(c) for c in last.constraints} == {FixBondLengths, FixAtoms}
    assert main(["relax", "end.traj", "--model", "ethanol", "--fmax", "0.5", "--output", "again"]) == 0


@pytest.mark.parametrize("number", [0, -1, 2])
def test_a_frame_of_a_file_can_be_named(number):
    frames = [ase.io.read(find_model("ethanol") / "structure.xyz") for _ in range(3)]
    for k, frame in enumerate(frames):
        frame.positions[0, 0] += 0.1 * k
    ase.io.write("three.xyz", frames)
    np.testing.assert_allclose(read_structure(f"three.xyz@{number}").positions, frames[number].positions, atol=1e-7)
    with pytest.raises(InputError, match="names 2"):
        read_structure("three.xyz@:2")
    assert [len(read_frames(f"three.xyz{part}")) for part in ("", "@0", "@::2", "@1:")] == [3, 1, 2, 2]


def test_without_a_model_the_option_is_named(capsys):
    ethanol_with_velocities()
    for words in (["md", "eq.traj", "--steps", "1"], ["relax", "eq.traj"], ["vibrations", "eq.traj"]):
        assert main(words) == 2
        assert "--model" in capsys.readouterr().err


def test_a_quoted_home_folder_is_found(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("home").mkdir()
    assert main(["md", "ethanol", "--steps", "1", "--output", "~/run"]) == 0
    assert Path("home/run.h5").is_file()
    assert not Path("~").exists()


def test_files_are_never_replaced_unasked_nor_found_unwritable_after_the_work(capsys):
    Path("mine.csv").write_text("precious")
    for words in (
        ["vibrations", "ethanol", "--csv", "mine.csv"],
        ["check", "ethanol", "--json", "mine.csv"],
        ["bench", "--json", "mine.csv"],
        ["evaluate", "ethanol", "no.xyz", "--plot", "mine.csv"],
    ):
        assert main(words) == 2
        assert "mine.csv exists" in capsys.readouterr().err
    assert Path("mine.csv").read_text() == "precious"


BROKEN = {
    "CONTCAR": b"",
    "OUTCAR": b" vasp.6.3\n POTCAR:    PAW_PBE Si\n",
    "vasprun.xml": b"<?xml version='1.0'?>\n<modeling>\n <generator>",
    "a.db": b"SQLite format 3\0 and nothing",
    "a.dump": b"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n3\n",
    "a.nc": b"CDF\x01",
    "a.xsf": b"PRIMVEC\n1 0 0\n",
    "a.cif": b"data_x\n_symmetry_space_group_name_H-M 'Q 99'\n_cell_length_a 1\n_cell_length_b 1\n_cell_length_c 1\n"
    b"_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\nloop_\n_atom_site_label\n_atom_site_fract_x\n"
    b"_atom_site_fract_y\n_atom_site_fract_z\nSi 0 0 0\n",
    "a.traj": b"- of Ulm",
    "a.extxyz": b"2\nLattice=1\nH 0 0\n",
    "a.json": b"{",
    "a.xyz": bytes(range(256)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_of_structures_is_refused_in_one_sentence(name, capsys):
    Path(name).write_bytes(BROKEN[name])
    assert main(["md", name, "--model", "ethanol", "--steps", "1"]) == 2
    said = capsys.readouterr().err.strip()
    assert name in said
    assert len(said.splitlines()) == 1
    assert main(["select", name, "--count", "1"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_without_words_help_is_printed_and_a_misspelt_verb_or_option_is_told_the_nearest(capsys):
    assert main([]) == 0
    assert "usage: painn-ase" in capsys.readouterr().out
    assert main(["relx", "ethanol"]) == 2
    assert "did you mean 'relax'" in capsys.readouterr().err
    assert main(["md", "ethanol", "--steps", "5", "--temprature", "300"]) == 2
    assert "did you mean '--temperature'" in capsys.readouterr().err


def test_check_finds_modules_of_the_working_directory(capsys):
    Path("refs_of_mine.py").write_text("from ase.calculators.emt import EMT as make\n")
    ase.io.write("cu.xyz", ase.build.bulk("Cu", cubic=True))
    assert main(["check", "refs_of_mine:make", "cu.xyz", "--only", "free energy"]) == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("painn-ase re", {"relax"}),
        ("painn-ase md si", {"silicon"}),
        ("painn-ase md ethanol --thermostat b", {"bussi"}),
        ("painn-ase import sch", {"schnetpack"}),
        ("painn-ase import curator --en", {"--energy-unit"}),
    ],
)
def test_the_shell_completes_verbs_options_and_choices(words, expected, capsys):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    count = len(words.split()) - 1
    script += f"\nCOMP_WORDS=({words}); COMP_CWORD={count}; _painn_ase; echo ${{COMPREPLY[@]}}"
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected


def test_completion_speaks_of_every_verb_in_every_shell(capsys):
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        out = capsys.readouterr().out
        assert all(verb.rstrip("_").replace("_", "-") in out for verb in VERBS)
