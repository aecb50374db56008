"""The benchmark runs, checks what it compares, and writes down all it measured."""

import json

import pytest
import torch

from painn_ase.bench import measure_speed
from painn_ase.cli import main
from painn_ase.errors import InputError
from painn_ase.native.library import why_unavailable


@pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))
def test_bench_writes_what_it_measured(tmp_path, capsys):
    file = tmp_path / "speed.json"
    assert main(["bench", "--systems", "ethanol", "--seconds", "0.2", "--json", str(file)]) == 0
    assert "native/floor" in capsys.readouterr().out
    result = json.loads(file.read_text())
    assert set(result) == {"machine", "features", "systems", "langevin", "neighbors"}
    row = result["systems"]["ethanol"]
    times = {"plain", "torch", "native", "native, 2 threads", "floor", "peak"}
    assert set(row) == {"atoms", "pairs"} | times
    assert (row["atoms"], row["pairs"]) == (9, 72)
    assert all(row[name] > 0 for name in times)
    assert {"cpu", "versions", "threads", "sgemm_rate", "vector_rate"} <= set(result["machine"])


def test_unknown_systems_are_refused_and_torch_is_left_as_it_was():
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    with pytest.raises(InputError, match="did you mean 'ethanol'"):
        measure_speed(["ethanl"])
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
