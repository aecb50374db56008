"""What cannot be computed is an error of LAMMPS with a sentence, never a crash and never a wrong number."""

import re
import shutil
import struct
import subprocess
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from painn_ase import load_model
from painn_ase.lammps import build_plugin, pack
from painn_ase.lammps.build import HERE, KERNEL
from painn_ase.lammps.input import data_file
from painn_ase.native.recipe import UNITS

from helpers.lammps_runs import COMMANDS, Setting, lammps, script
from helpers.random_models import random_model

PAIR = "pair_style painn 0.painn\n"


def files(folder: Path):
    atoms = bulk("Si", cubic=True)
    pack(load_model("silicon"), folder / "0.painn")
    (folder / "data").write_text(data_file(atoms))
    return atoms


REFUSED = {
    "another element": ({"pair": PAIR + "pair_coeff * * Fe"}, "was not trained on 'Fe'"),
    "a spelling": ({"pair": PAIR + "pair_coeff * * si"}, "was not trained on 'si'"),
    "no pair_coeff": ({"pair": PAIR}, "pair coeffs are not set|pair_coeff"),
    "too few elements": ({"pair": PAIR + "pair_coeff * *"}, "the element of each of 1 atom types"),
    "a part of the types": ({"pair": PAIR + "pair_coeff 1 1 Si"}, "must start with \\* \\*"),
    "no file": ({"pair": "pair_style painn nowhere.painn"}, "nowhere.painn: cannot be opened"),
    "no threads": ({"pair": "pair_style painn 0.painn threads 0"}, "expected 1 to 1024 threads"),
    "no arguments": ({"pair": "pair_style painn"}, "expected FILE"),
    "other units": ({"units": "lj"}, "expected units metal or real; got lj"),
    "newton off": ({"before": "newton off"}, "newton"),
    "left out pairs": ({"before": "neigh_modify exclude type 1 1"}, "needs all pairs"),
}


@pytest.mark.lammps
@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_wrong_inputs_are_sentences(name, tmp_path):
    given, sentence = REFUSED[name]
    atoms = files(tmp_path)
    done = lammps(tmp_path, script(atoms, ["0.painn"], Setting(**given)), ranks=2)
    assert done.returncode not in (0, -11, 139)
    output = done.stdout + done.stderr
    assert "ERROR" in output
    assert re.search(sentence, output), output[-1500:]


@pytest.mark.lammps
@pytest.mark.slow
def test_a_file_that_one_rank_lacks_ends_all_with_its_sentence(tmp_path):
    """As on a cluster where a local disk was not filled. A rank that ends alone may be killed before it is heard."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "in").write_text(script(files(here), ["0.painn"], Setting()))
    shutil.copy(here / "data", there)  # LAMMPS asks every rank whether it is there
    program = [str(COMMANDS / "lmp"), "-in", "in", "-log", "log"]
    ranks = [["-n", "1", "-wdir", str(folder), *program] for folder in (here, there)]
    for _ in range(5):
        command = [str(COMMANDS / "mpirun"), *ranks[0], ":", *ranks[1]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode not in (0, -11, 139)
        assert "0.painn: cannot be opened" in done.stdout, done.stdout[-1500:] + done.stderr[-500:]


@pytest.mark.lammps
@pytest.mark.slow
def test_special_bonds_that_leave_out_pairs_are_refused(tmp_path):
    """With bonds, LAMMPS' default leaves 1-2 pairs out of the lists, and a network would not see them."""
    files(tmp_path)
    text = """
units metal
atom_style bond
region box block 0 10 0 10 0 10
create_box 1 box bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 4
mass 1 28.0855
create_atoms 1 single 5 5 5
create_atoms 1 single 5 5 7.3
bond_style zero
bond_coeff *
create_bonds single/bond 1 1 2
{special}
pair_style painn 0.painn
pair_coeff * * Si
run 0
"""
    done = lammps(tmp_path, text.format(special=""))
    assert "needs special_bonds lj/coul 1 1 1" in done.stdout + done.stderr
    done = lammps(tmp_path, text.format(special="special_bonds lj/coul 1 1 1"))
    assert done.returncode == 0, done.stdout[-2000:]


FOREIGN = {
    "another version of LAMMPS": {"version": 20250101, "flags": []},
    "another MPI": {"flags": ["-DOMPI_MAJOR_VERSION=5", "-DOPEN_MPI=1"]},  # as in the mpi.h of Open MPI
    "atom IDs of another size": {"sizes": "BIGBIG", "flags": []},
}


@pytest.mark.lammps
@pytest.mark.slow
@pytest.mark.parametrize("reason", FOREIGN)
def test_a_plugin_for_another_lammps_says_so(reason, tmp_path):
    """Compiled for another one it is not registered: the pair style stays unknown, and stderr says what to do."""
    atoms = files(tmp_path)
    options = {**FOREIGN[reason]}
    options["flags"] = [*options["flags"], "-O0", "-DNDEBUG"]
    other = build_plugin(output=tmp_path / "otherplugin.so", **options)
    text = script(atoms, ["0.painn"], Setting(before=f"plugin unload pair painn\nplugin load {other}"))
    done = lammps(tmp_path, text)
    output = done.stdout + done.stderr
    assert done.returncode > 0
    assert f"compiled for {reason}" in output
    assert "painn-ase lammps build" in output


def test_without_the_package_plugin_the_same_source_compiles(tmp_path):
    """The macro that LAMMPS' build looks for in headers of src/ names the style and its class."""
    compiler = shutil.which("c++")
    if not compiler:
        pytest.skip("no C++ compiler")
    text = '#define PAIR_CLASS\n#define PairStyle(key, Class) key -> Class\n#include "pair_painn.h"\n'
    (tmp_path / "style.cpp").write_text(text)
    command = [compiler, "-E", "-P", f"-I{HERE}", str(tmp_path / "style.cpp")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "painn -> PairPainn" in found


DRIVER = """
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include "model_file.hpp"
int main(int, char** names) {
    for (names++; *names; names++) {
        std::ifstream file(*names, std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        try {
            painn::PackedModel model(bytes);
            printf("read %s\\n", model.name.c_str());
        } catch (const std::runtime_error& e) {
            printf("%s\\n", e.what());
        }
    }
}
"""


def reader(folder: Path) -> Path:
    """A program that reads model files, under the address and undefined-behaviour sanitizers."""
    compiler = shutil.which("g++")
    if not compiler:
        pytest.skip("no g++")
    (folder / "driver.cpp").write_text(DRIVER)
    sources = [folder / "driver.cpp", HERE / "model_file.cpp", KERNEL / "kernels_portable.cpp"]
    sources += [KERNEL / f"{unit}.cpp" for unit in UNITS]
    # kernels of wider instruction sets are not linked: the portable ones stand in for them
    stub = "namespace painn { struct Kernels; const Kernels* kernels_portable(); const Kernels* kernels_avx2() "
    stub += "{ return kernels_portable(); } const Kernels* kernels_avx512() { return kernels_portable(); } }"
    (folder / "stub.cpp").write_text(stub)
    flags = ["-std=c++17", "-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-pthread"]
    command = [compiler, *flags, f"-I{KERNEL}", f"-I{HERE}", *map(str, sources), str(folder / "stub.cpp")]
    done = subprocess.run([*command, "-o", str(folder / "reader")], capture_output=True, text=True)
    if "cannot find" in done.stderr:
        pytest.skip("g++ has no sanitizer libraries here")
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "reader"


def resealed(data: bytes) -> bytes:
    """The file with length and hash that fit its content: what a forger would write."""
    content = data[56:]
    return data[:16] + struct.pack("<Q", len(content)) + sha256(content).digest() + content


def damaged(good: bytes, count: int, seed: int = 0):
    """Cut, changed and forged copies of a file."""
    rng = np.random.default_rng(seed)
    starts = [56]
    while starts[-1] < len(good):
        starts.append(starts[-1] + 24 + struct.unpack_from("<Q", good, starts[-1] + 16)[0])
    for _ in range(count):
        data = bytearray(good)
        start = int(rng.choice(starts[:-1]))
        kind = rng.integers(6)
        if kind == 0:
            data = data[: rng.integers(len(data))]
        elif kind == 1:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        elif kind == 2:  # a record's head: tag, numbers or size
            data[start + rng.integers(24)] = rng.integers(256)
        elif kind == 3:  # sizes of the network
            data[80 + rng.integers(40)] = rng.integers(256)
        elif kind == 4:  # a size near the limits of integers
            struct.pack_into("<Q", data, start + 16, [2**63, 2**64 - 1, 2**64 - 24, 2**32, 0][rng.integers(5)])
        else:  # a record twice, or not at all
            end = starts[starts.index(start) + 1]
            twice = bool(rng.integers(2))
            data = data[:end] + data[start:] if twice else data[:start] + data[end:]
        yield resealed(bytes(data)) if kind > 1 and len(data) >= 56 else bytes(data)


@pytest.mark.slow
def test_damaged_and_forged_model_files_are_sentences(tmp_path):
    """Under sanitizers: whatever a file holds, the reader reads a model or says why not."""
    program = reader(tmp_path)
    model = random_model(heads={"energy": {}}, radial={"kind": "bessel", "count": 3})
    good = pack(model, tmp_path / "good.painn").read_bytes()
    names = [tmp_path / "good.painn"]
    for k, data in enumerate(damaged(good, 400)):
        names.append(tmp_path / f"{k}.painn")
        names[-1].write_bytes(data)
    (tmp_path / "newer.painn").write_bytes(good[:8] + struct.pack("<I", 2) + good[12:])
    (tmp_path / "text.painn").write_text("pair_coeff")
    names += [tmp_path / "newer.painn", tmp_path / "text.painn"]
    done = subprocess.run([str(program), *map(str, names)], capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr[-3000:]
    answers = done.stdout.splitlines()
    assert len(answers) == len(names)
    assert answers[0].startswith("read ")
    assert sum(answer.startswith("read ") for answer in answers) < len(answers) / 4  # a forged weight is a weight
    assert "format 2, this pair style reads 1" in answers[-2]
    assert "not a packed model" in answers[-1]
