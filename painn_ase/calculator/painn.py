"""The ASE calculator: Atoms in, results in ASE's units and shapes out; nothing else."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from painn_ase.ase_outputs import register_properties
from painn_ase.backends import Backend, choose_backend
from painn_ase.backends.ensemble import Ensemble
from painn_ase.backends.exact import exact_response
from painn_ase.calculator.changes import changed_geometry, changed_state
from painn_ase.calculator.provided import Provided
from painn_ase.calculator.results import check_finite, in_ase_shape
from painn_ase.calculator.settings import check_settings, graph_builder
from painn_ase.coverage import CoverageMonitor
from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.isotopes import about_own_centre, centre_shares
from painn_ase.model import Model, check_elements
from painn_ase.model_files import load_model
from painn_ase.neighbors import VerletList
from painn_ase.threads import Lock

log = logging.getLogger(__name__)


class PaiNNCalculator(Calculator):
    """Energies, forces, stress, dipoles and polarizabilities of a trained model, as an ASE calculator.

    model: a bundled model's name ("ethanol"), a model folder, or a `Model`; or a sequence of at least two of these: an
        ensemble, whose results are means and come with `energy_std`, `forces_std` (n,) and so on (see `Ensemble`)
    charge: total charge in e; overrides `atoms.info["charge"]`, which is read otherwise (0 if absent)
    dtype: precision of the network, "float32" or "float64"; geometry and sums are float64 either way
    device: where the torch backend runs: "cpu", "cuda", ...
    backend: "native" (compiled, float32 on the CPU), "torch" (any precision and device), or "auto": native where it
        can; `calculator.backend.name` says which one it is
    threads: of the backend; by default one for small structures and torch's number for large ones
    skin: reserve of the neighbour list in Å: it is rebuilt only when a pair could have crossed the cutoff unseen
    neighbors: neighbour list: "matscipy", "torch_cluster" (molecules only) or "brute_force"

    Results are in ASE's units: energy, free_energy and energies (eV), forces (eV/Å), stress (eV/Å³, Voigt order,
    tension positive; three-dimensionally periodic structures only), dipole (e·Å) and polarizability (e²Å²/eV, 3x3;
    times 14.3996 in Å³) of molecules, charges (e), quadrupole (e·Å², 3x3 traceless, about the centre of mass) and
    hyperpolarizability (e³Å³/eV², 3x3x3) if the model defines them. Derivatives are computed when asked for:
    born_effective_charges of molecules, (atoms, 3, 3) in e, where [i, a, b] is ∂μ_a/∂r_ib, `get_hessian` and
    `get_polarizability_derivatives`. They always come from a float64 evaluation of the same weights.

    Models that store what their training data covered warn once (`CoverageWarning`) when a structure leaves it;
    `outside` is then a sentence about the present structure.
    """

    name = "painn"

    def __init__(
        self,
        model: str | Path | Model | Sequence[str | Path | Model],
        *,
        charge: float | None = None,
        dtype: str = "float32",
        device: str = "cpu",
        backend: str = "auto",
        threads: int | None = None,
        skin: float = 0.5,
        neighbors: str = "matscipy",
    ) -> None:
        """Loads the model, or several as an ensemble, and chooses the backend that evaluates it.

        The parameters are described with the class: help(PaiNNCalculator). Raises `InputError` and `ModelError` for a
        model that does not exist or cannot be evaluated as asked.
        """
        register_properties()
        given: Sequence[str | Path | Model] = [model] if isinstance(model, str | Path | Model) else list(model)
        loaded = [m if isinstance(m, Model) else load_model(m) for m in given]
        backends = [choose_backend(m, backend, device, dtype, threads) for m in loaded]
        name = ", ".join(m.name for m in loaded)
        settings = {
            "model": name if any(isinstance(m, Model) for m in given) else ", ".join(map(str, given)),
            "charge": charge,
            "dtype": dtype,
            "device": str(device),
            "backend": backend,
            "threads": None if threads is None else int(threads),
            "skin": skin,
            "neighbors": neighbors,
        }
        coverages = [m.coverage for m in loaded if m.coverage is not None]
        monitor = CoverageMonitor(name, coverages) if coverages else None
        super().__init__()
        self._setup(name, backends[0] if len(backends) == 1 else Ensemble(backends), monitor, settings)
        log.info("model %s on the %s backend, %s, %s", name, self.backend.name, device, dtype)

    def __repr__(self) -> str:
        """What is evaluated, how, and what it gives, in one line."""
        p = self.parameters
        return (
            f"PaiNNCalculator({self.model_name!r}, {p['dtype']}, {self.backend.name} backend on {p['device']}: "
            f"{', '.join(self.implemented_properties)})"
        )

    def _setup(self, name: str, backend: Backend, coverage: CoverageMonitor | None, settings: dict[str, Any]) -> None:
        self.model_name = name
        self.backend = backend
        self.coverage = coverage
        self._builder = graph_builder(settings, backend.cutoff)
        self.parameters = {**settings, "charge": self._builder.charge, "skin": self._builder.verlet.skin}
        self._provided = Provided.by(name, backend)
        self.implemented_properties = list(self._provided.properties)
        self._graph: AtomicGraph | None = None  # of the cached results
        self._lock = Lock()

    def clone(self) -> "PaiNNCalculator":
        """A calculator of its own (cache and neighbour list) that shares the weights: one per NEB image."""
        twin = PaiNNCalculator.__new__(PaiNNCalculator)
        Calculator.__init__(twin)
        coverage = None if self.coverage is None else self.coverage.twin()
        twin._setup(self.model_name, self.backend.twin(), coverage, self.parameters)
        return twin

    @property
    def neighbor_list(self) -> VerletList:
        """The pairs with their skin, and how often they were found anew."""
        return self._builder.verlet

    @property
    def charge(self) -> float | None:
        """Total charge in e of every structure; None where `atoms.info["charge"]` says it. May be set."""
        return self._builder.charge

    @charge.setter
    def charge(self, charge: float | None) -> None:
        self.set(charge=charge)

    def centred_charge(self, atoms: Atoms) -> float:
        """The charge in e that makes the dipole of `atoms` depend on the centre it is measured from; mostly 0."""
        return self.charge_of(atoms) if "dipole" in self._provided.molecular and not atoms.pbc.any() else 0.0

    def charge_of(self, atoms: Atoms) -> float:
        """The total charge in e that `atoms` are evaluated with."""
        return self._builder.charge_of(atoms)

    @property
    def outside(self) -> str | None:
        """How the present structure lies outside of what the training data covered, or None.

        None, too, for models that do not store it (`coverage` is None). Geometry, forces, total charge and spin count.
        """
        return None if self.coverage is None else self.coverage.outside

    def set(self, **keywords: Any) -> dict[str, Any]:
        """Applies new values of `charge`, `skin` and `neighbors`, forgets results, and returns what changed.

        Everything else makes another calculator. Raises `InputError` for it, for unknown names and impossible values,
        and then nothing has changed.
        """
        old = self.parameters
        check_settings(old, keywords)
        if not keywords:
            return {}
        new = {**old, **keywords}
        builder = graph_builder(new, self.backend.cutoff)
        new |= {"charge": builder.charge, "skin": builder.verlet.skin}
        changed = {name: new[name] for name in keywords if new[name] != old[name]}
        if changed:
            with self._lock:
                self._builder, self.parameters = builder, new
                self.reset()
        return changed

    def reset(self) -> None:
        """Forgets the structure and its results."""
        super().reset()
        self._graph = None

    def get_polarizability(self, atoms: Atoms | None = None) -> np.ndarray:
        """Static polarizability, (3, 3) in e²Å²/eV, as `ase.vibrations.raman.StaticRamanCalculator` wants it.

        Multiply by 14.3996 (`painn_ase.units.COULOMB_CONSTANT`) for the polarizability volume in Å³.
        """
        return self.get_property("polarizability", atoms)

    def get_hessian(self, atoms: Atoms | None = None) -> np.ndarray:
        """∂²E/∂r_ia ∂r_jb, (3 atoms, 3 atoms) in eV/Å², as `ase.vibrations.VibrationsData.from_2d` wants it.

        Exact second derivatives, whatever the backend, by a float64 evaluation of its weights; of a periodic
        structure those at the Γ point. Constraints are not applied.
        """
        return self.get_response(atoms, ("hessian",))["hessian"]

    def get_polarizability_derivatives(self, atoms: Atoms | None = None) -> np.ndarray:
        """[i, a, b, c] = ∂α_ab/∂r_ic of a molecule, (atoms, 3, 3, 3) in e²Å/eV, by a float64 evaluation."""
        return self.get_response(atoms, ("polarizability_derivatives",))["polarizability_derivatives"]

    def get_response(self, atoms: Atoms | None, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Several of the derivatives "hessian", "born_effective_charges", "polarizability_derivatives" at once.

        Together they cost hardly more than the Hessian alone; see `painn_ase.response.response`.
        """
        with self._lock:
            atoms = self.atoms if atoms is None else atoms
            changes = list(all_changes) if atoms is None else self.check_state(atoms)
            if changes or self._graph is None:
                self.calculate(atoms, (), changes or all_changes)
            assert self.atoms is not None
            assert self._graph is not None
            self._provided.check_boundaries(self.atoms, names)
            values = self._about_own_centre(exact_response(self.backend, self._graph, names))
            check_finite(values, self.model_name, self._graph, self._builder.pairs)
            return values

    @property
    def memory(self) -> dict[str, Any]:
        """What another process must `recall` to repeat the numbers of this calculator to the last bit.

        Forces are sums over pairs, and the order of pairs is that of the geometry they were last found for.
        """
        reference = self.neighbor_list.reference
        if reference is None:
            return {}
        coverage = None if self.coverage is None else self.coverage.state
        return {"positions": reference[0], "cell": reference[1], "coverage": coverage}

    def recall(self, atoms: Atoms, memory: Mapping[str, Any], properties: Sequence[str] = ("energy",)) -> None:
        """Evaluates `atoms` for `properties` just as the calculator did whose `memory`, taken then, is given."""
        self._builder.recall(atoms, memory["positions"], memory["cell"])
        self.reset()
        self.calculate(atoms, properties)
        if self.coverage is not None and memory["coverage"] is not None:
            self.coverage.restore(memory["coverage"])

    # ---- what ASE calls

    def set_atoms(self, atoms: Atoms) -> None:
        """Called by `atoms.calc = calculator`: unknown elements are refused here, before a run begins."""
        check_elements(self.model_name, self.backend.elements, atoms.numbers)

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """What differs from the structure of the cached results, compared exactly; `tol` is not used."""
        old = self.atoms
        if old is None:
            return list(all_changes)
        state = changed_state(old, atoms, charge_in_info=self.charge is None, charged=self.charge_of(atoms) != 0)
        return changed_geometry(old, atoms) + state

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """The property `name`, from the cache while nothing changed; a copy, as everything ASE gets.

        Does what ASE's own method does without its copy of all of the Atoms at every step. Threads that share the
        calculator are served one after the other.
        """
        with self._lock:
            changes = [] if atoms is None else self.check_state(atoms)
            if changes or name not in self.results:
                if not allow_calculation and name in self.implemented_properties:
                    return None
                self.calculate(atoms, [name], changes)
            result = self.results[name]
            return result.copy() if isinstance(result, np.ndarray) else result

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fills `results`: energy and forces always (stress too where it is defined), the rest when asked for."""
        with self._lock:
            self._calculate(atoms, properties, system_changes)

    def _calculate(self, atoms: Atoms | None, properties: Sequence[str], system_changes: Sequence[str]) -> None:
        atoms = self._remembered(atoms, system_changes)
        if system_changes or self._graph is None:
            # whatever goes wrong from here on, nothing of the last structure may answer for this one
            self.results, previous, self._graph = {}, self._graph, None
            graph = self._builder.build(atoms)
            if previous is None or graph.numbers is not previous.numbers:
                check_elements(self.model_name, self.backend.elements, atoms.numbers)
            if self.coverage is not None:
                self._look_at(self.coverage, atoms, graph, moved_only=list(system_changes) == ["positions"])
            self._graph = graph
        self._provided.check(atoms, properties)
        wanted = {"energy", "energies", "forces"}.intersection(self.backend.properties)
        if wanted and atoms.pbc.all():
            wanted.add("stress")
        wanted.update("energy" if name == "free_energy" else name for name in properties)
        wanted.difference_update(self.results)
        derived = wanted & {"born_effective_charges"}
        wanted -= derived
        if wanted:
            values = self.backend.evaluate(self._graph, wanted)
            check_finite(values, self.model_name, self._graph, self._builder.pairs)
            self.results.update(self._about_own_centre(in_ase_shape(values)))
            if self.coverage is not None and "forces" in values:
                self.coverage.new_forces(values["forces"])
        if derived:
            self.results.update(self._about_own_centre(exact_response(self.backend, self._graph, derived)))

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """JSON-able keywords of this calculator."""
        return dict(self.parameters)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_graph": None, "results": {}, "atoms": None}

    # ---- parts

    def _remembered(self, atoms: Atoms | None, changes: Sequence[str]) -> Atoms:
        """The calculator's own copy of `atoms`, which later calls are compared with."""
        mine = self.atoms
        if atoms is None:
            if mine is None:
                raise InputError(
                    "calculate: expected Atoms; got none. Attach the calculator first: atoms.calc = calculator"
                )
            return mine
        if list(changes) == ["positions"] and mine is not None and len(mine) == len(atoms):
            mine.arrays["positions"] = atoms.positions.copy()  # all that molecular dynamics changes
        elif changes or mine is None:
            mine = self.atoms = atoms.copy()
        return mine

    def _about_own_centre(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values, those of an ion's dipole measured from the centre of mass of its own isotopes."""
        atoms = self.atoms
        assert atoms is not None
        charge = self.centred_charge(atoms)
        return values if charge == 0 else about_own_centre(values, atoms.positions, charge, centre_shares(atoms))

    def _look_at(self, monitor: CoverageMonitor, atoms: Atoms, graph: AtomicGraph, *, moved_only: bool) -> None:
        """Tells the monitor of what is evaluated next; charge and spin are those of before where atoms only moved."""
        pairs = self._builder.pairs
        assert pairs is not None
        if not moved_only:
            monitor.new_structure(atoms, self._builder.charge_of(atoms))
        monitor.new_geometry(graph.numbers.numpy(), pairs, graph.positions.numpy(), graph.cells.numpy()[0])
