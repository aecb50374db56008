"""Trained models in torch-sim: dynamics and relaxations of many systems in one evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch_sim.models.interface import ModelInterface

from painn_ase.backends import choose_backend
from painn_ase.errors import InputError
from painn_ase.graph import batch
from painn_ase.model import Model
from painn_ase.model_files import load_model
from painn_ase.neighbors import GraphBuilder, VerletList, neighbor_list


class PaiNNModel(ModelInterface):
    """A model as torch-sim takes it: energies in eV, forces in eV/Å and, where all is periodic, stress in eV/Å³.

    model: bundled name, model folder or `Model`
    device: of torch-sim's tensors and of the network; on "cpu" the compiled kernel serves PaiNN in float32
    dtype: of torch-sim's tensors; the network runs in `network_dtype`, geometry and sums in float64
    network_dtype: "float32" or "float64"
    skin: Å by which neighbour lists reach further than the cutoff, so that they last some steps
    compute_stress: needs systems that are periodic in three directions
    """

    def __init__(
        self,
        model: str | Path | Model,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float64,
        network_dtype: str = "float32",
        skin: float = 0.5,
        compute_stress: bool = True,
    ) -> None:
        super().__init__()
        self._device, self._dtype = torch.device(device), dtype
        self._compute_forces, self._compute_stress = True, compute_stress
        self._memory_scales_with = "n_atoms_x_density"
        self.backend = choose_backend(
            model if isinstance(model, Model) else load_model(model), device=device, dtype=network_dtype
        )
        self.skin = skin
        self._builders: dict[int, GraphBuilder] = {}  # by place in the batch; lists that do not fit are made anew

    def forward(self, state: Any, **_: Any) -> dict[str, torch.Tensor]:
        """ "energy" (systems,), "forces" (atoms, 3) and "stress" (systems, 3, 3) of torch-sim's `state`."""
        structures = _structures(state)
        known = set(self.backend.elements)
        unknown = sorted({int(z) for atoms in structures for z in atoms.numbers} - known)
        if unknown:
            raise InputError(f"model knows the atomic numbers {sorted(known)}; the state has {unknown}")
        periodic = all(atoms.pbc.all() for atoms in structures)
        graphs = [self._builder(k).build(atoms) for k, atoms in enumerate(structures)]
        wanted = ["energy", "forces", *(["stress"] if self._compute_stress and periodic else [])]
        results = self.backend.evaluate(batch(graphs), wanted)
        answers = {name: torch.from_numpy(results[name]).to(self._device, self._dtype) for name in wanted}
        if self._compute_stress and not periodic:  # molecules have none; torch-sim wants the entry
            answers["stress"] = torch.full((len(structures), 3, 3), torch.nan, dtype=self._dtype, device=self._device)
        return answers

    def _builder(self, place: int) -> GraphBuilder:
        if place not in self._builders:
            self._builders[place] = GraphBuilder(VerletList(neighbor_list(), self.backend.cutoff, self.skin))
        return self._builders[place]


def _structures(state: Any) -> list[Atoms]:
    if isinstance(state, dict):
        from torch_sim.state import SimState

        state = SimState(**state, masses=torch.ones_like(state["positions"][:, 0]))
    owner = state.system_idx.cpu().numpy()
    positions = state.positions.detach().cpu().double().numpy()
    numbers = state.atomic_numbers.cpu().numpy()
    cells = state.row_vector_cell.detach().cpu().double().numpy()
    pbc = np.broadcast_to(np.asarray(torch.as_tensor(state.pbc).cpu()), (3,))
    return [
        Atoms(numbers[owner == k], positions[owner == k], cell=cell if pbc.any() else None, pbc=pbc)
        for k, cell in enumerate(cells)
    ]
