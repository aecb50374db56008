"""`painn-ase sample` and `painn-ase select` write the frames of the functions behind them."""

import runpy
import sys

import ase.io
import numpy as np
import pytest
from ase import Atoms

from painn_ase import PaiNNCalculator
from painn_ase.cli import main
from painn_ase.reference import Plan, sample, select
from painn_ase.structures import read_structure


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def shifted(count=6):
    """Ethanol with longer and longer hydroxyl bonds."""
    frames = [read_structure("ethanol") for _ in range(count)]
    for k, atoms in enumerate(frames):
        atoms.set_distance(2, 3, 0.9 + 0.05 * k, fix=0)
    return frames


def test_sample_writes_the_frames_of_the_function(capsys):
    atoms = read_structure("ethanol")
    ase.io.write("conformer.xyz", atoms)
    words = ["sample", "conformer.xyz", "--model", "ethanol", "--quantum", "3", "--quantum-temperature", "500"]
    assert main([*words, "--scan", "1", "--seed", "5", "--output", "out.extxyz"]) == 0
    count = 3 + 2 * 21  # nine atoms have 21 modes
    assert f"out.extxyz: {count} frames" in capsys.readouterr().out
    found = ase.io.read("out.extxyz", ":")
    plan = Plan(quantum=3, quantum_temperature=500.0, scan=1)
    expected = sample(
        [ase.io.read("conformer.xyz")], lambda _: PaiNNCalculator("ethanol"), plan, seed=5, name="ethanol"
    )
    assert [f.info["source"] for f in found] == [f.info["source"] for f in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-7)  # the digits of the file
    assert main([*words, "--output", "out.extxyz"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert len(ase.io.read("out.extxyz", ":")) == count


def test_select_writes_the_frames_of_the_function(capsys):
    frames = shifted()
    ase.io.write("frames.extxyz", frames)
    ase.io.write("known.extxyz", frames[:1])
    assert main(["select", "frames.extxyz", "--count", "2", "--known", "known.extxyz", "--output", "out.extxyz"]) == 0
    assert "out.extxyz: 2 of 6 frames" in capsys.readouterr().out
    found = ase.io.read("out.extxyz", ":")
    for one, other in zip(found, select(frames, 2, known=frames[:1]), strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-7)
    np.testing.assert_allclose(found[0].positions, frames[-1].positions, atol=1e-7)  # farthest from the known one
    assert main(["select", "frames.extxyz", "--count", "2", "--output", "out.extxyz"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_select_counts_by_source(capsys):
    frames = shifted(8)
    for k, atoms in enumerate(frames):
        atoms.info["source"] = "gfn2_md_300K_min0" if k < 6 else "gfn2_wigner_300K_min0"
    ase.io.write("frames.extxyz", frames)
    words = ["select", "frames.extxyz", "--count", "4", "--audits", "1", "--overwrite", "--output", "out.extxyz"]
    words += ["--quotas"]
    assert main([*words, "even"]) == 0
    assert "out.extxyz: 4 of 8 frames (" in capsys.readouterr().out
    assert main([*words, "*wigner*=1"]) == 0
    assert main([*words, "wigner"]) == 2
    assert "--quotas" in capsys.readouterr().err


def test_package_of_the_command_line_can_be_run_as_a_module(monkeypatch, capsys):
    for words, code in ((["info"], 0), (["relax", "nowhere.xyz", "--model", "ethanol"], 2)):
        monkeypatch.setattr(sys, "argv", ["painn-ase", *words])
        with pytest.raises(SystemExit) as stop:
            runpy.run_module("painn_ase.cli", run_name="__main__")
        assert stop.value.code == code
    said = capsys.readouterr()
    assert "ethanol" in said.out
    assert "nowhere.xyz" in said.err


def test_sample_and_relax_take_smiles(capsys):
    pytest.importorskip("rdkit", reason="rdkit is not installed: pip install 'painn-ase[smiles]'")
    words = ["sample", "smiles:CCO", "--model", "ethanol", "--torsions", "2", "--output", "out.extxyz"]
    assert main(words) == 0
    assert "out.extxyz: 8 frames" in capsys.readouterr().out  # two conformers, two bonds
    assert main(["relax", "smiles:CCO", "--model", "ethanol", "--output", "anti"]) == 0
    assert main([*words, "--conformers", "1", "--overwrite"]) == 0
    assert "out.extxyz: 4 frames" in capsys.readouterr().out


def test_sample_refuses_an_empty_plan_before_anything_is_written(tmp_path, capsys):
    ase.io.write("conformer.xyz", Atoms("H2", [[0, 0, 0], [0.74, 0, 0]]))
    assert main(["sample", "conformer.xyz", "--model", "ethanol", "--output", "out.extxyz"]) == 2
    assert "above zero" in capsys.readouterr().err
    assert not (tmp_path / "out.extxyz").exists()
