"""From a foreign network in foreign units to a model in eV, Å and e."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from ase.data import atomic_numbers
from torch import Tensor

from painn_ase import units
from painn_ase.errors import InputError, ModelError
from painn_ase.model import Model


@dataclass(frozen=True)
class ForeignUnits:
    """The units a checkpoint computes in. Files do not carry them; `dipole` and `polarizability` only where needed."""

    energy: str
    length: str
    dipole: str | None = None
    polarizability: str | None = None

    def factors(self, heads: Iterable[str]) -> dict[str, float]:
        """Length factor to Å under "length", and for every head the factor of its property to our unit."""
        tables = {
            "energy": (self.energy, units.ENERGY),
            "dipole": (self.dipole, units.DIPOLE),
            "polarizability": (self.polarizability, units.POLARIZABILITY),
        }
        found = {"length": units.factor(self.length, units.LENGTH, "length")}
        for head in heads:
            unit, table = tables[head]
            if unit is None:
                raise InputError(
                    f"this checkpoint predicts the {head}, and its unit is not in the file: give {head}_unit, one of "
                    f"{', '.join(table)}"
                )
            found[head] = units.factor(unit, table, head)
        return found


@dataclass
class Translation:
    """A network in our names and split orders, still in foreign units."""

    config: dict[str, Any]  # as `Model.from_config` takes it, without elements
    state: dict[str, Tensor]  # by our names; scales and references where they are not one and zero
    elements: tuple[int, ...] | None = None  # those the checkpoint itself names
    notes: list[str] = field(default_factory=list)  # what a user should know, for the card

    def normalize_energy(self, mean: float, stddev: float) -> None:
        """Has the energy head multiply by `stddev` and add `mean` for every atom, of whatever element."""
        self.state["heads.energy.references"] = torch.full((100,), mean, dtype=torch.float64)
        self.state["heads.energy.scale"] = torch.tensor(stddev, dtype=torch.float64)


def published_painn(embedding: Tensor, interactions: int, cutoff: float, radial: int, **options: Any) -> dict[str, Any]:
    """The description of a PaiNN with the paper's radial and cutoff functions, and `options` of its own."""
    return {
        "kind": "painn",
        "features": embedding.shape[1],
        "interactions": interactions,
        "cutoff": cutoff,
        "radial": {"kind": "bessel", "count": radial},
        "cutoff_function": {"kind": "cosine"},
        "embeddings": embedding.shape[0],
        **options,
    }


def parse_elements(elements: Iterable[int | str] | None) -> tuple[int, ...] | None:
    """Atomic numbers of symbols or numbers; None stays None."""
    if elements is None:
        return None
    numbers = [atomic_numbers.get(e, 0) if isinstance(e, str) else int(e) for e in elements]
    if not numbers or not all(0 < z < 100 for z in numbers):
        raise InputError(f"elements: expected symbols or atomic numbers from 1 to 99; got {list(elements)}")
    return tuple(sorted(set(numbers)))


def build(translation: Translation, foreign: ForeignUnits, elements: Iterable[int | str] | None = None) -> Model:
    """The model in eV, Å and e that computes what the foreign network computes.

    Weights keep the precision of the file; with a length unit other than Å the radial functions are rescaled and
    the whole network is stored in float64. Raises `InputError` for missing units, `ModelError` for shapes that do
    not fit each other.
    """
    heads = translation.config["heads"]
    factors = foreign.factors(heads)
    known = parse_elements(elements) or translation.elements
    rows = translation.state["representation.embedding.weight"].shape[0]
    if known is None:
        translation.notes.append(
            "The checkpoint does not say which elements it was trained on; every row of its embedding is accepted. "
            "Import with `elements` to have others refused."
        )
        known = tuple(range(1, min(rows, 100)))
    if max(known) >= rows:
        raise InputError(f"elements: the embedding has rows up to atomic number {rows - 1}; got {max(known)}")
    config = {**translation.config, "elements": list(known)}
    state = {name: tensor.clone() for name, tensor in translation.state.items()}
    length = factors["length"]
    precision = _precision(state, length)
    _rescale_lengths(config, state, length)
    if config["representation"].get("repulsion"):
        r = config["representation"]["repulsion"]
        energy = factors["energy"]
        config["representation"] = {
            **config["representation"],
            "repulsion": {**r, "strength": r["strength"] * energy, "sigma": r["sigma"] * length},
        }
    for head in heads:
        _rescale_head(head, config, state, factors[head], length)
    try:
        with torch.random.fork_rng(devices=[]):  # weights are drawn and thrown away
            model = Model.from_config(config)
    except (InputError, TypeError, ValueError) as error:
        raise ModelError(f"the checkpoint describes a network that cannot be built: {error}") from None
    own = model.state_dict()
    for name, tensor in state.items():
        if name not in own or own[name].shape != tensor.shape:
            expected = tuple(own[name].shape) if name in own else "none"
            raise ModelError(f"{name}: expected shape {expected}, the checkpoint has {tuple(tensor.shape)}")
    model = model.to(precision)
    missing = [name for name in own if name not in state and name.rpartition(".")[2] not in _OWN_BUFFERS]
    if missing:
        raise ModelError(f"the checkpoint has no weights for {', '.join(missing[:5])}")
    model.load_state_dict(state, strict=False)
    return model.eval()


_OWN_BUFFERS = ("scale", "references", "masses")


def _precision(state: dict[str, Tensor], length: float) -> torch.dtype:
    wide = length != 1.0 or any(t.dtype == torch.float64 for n, t in state.items() if n.startswith("representation."))
    return torch.float64 if wide else torch.float32


def _rescale_lengths(config: dict[str, Any], state: dict[str, Tensor], length: float) -> None:
    """Makes a network of distances in foreign units one of distances in Å, `length` Å per foreign unit.

    Gaussians and cutoffs scale with their lengths. sin(ωd)/d has the dimension of an inverse length, so the filters
    that read it take up the factor.
    """
    if length == 1.0:
        return
    representation = config["representation"] = dict(config["representation"])
    representation["cutoff"] *= length
    for name in ("radial", "cutoff_function"):
        spec = representation[name] = dict(representation[name])
        for key in ("start", "epsilon"):
            if key in spec:
                spec[key] *= length
    for name, tensor in state.items():
        if name in ("representation.radial.centers", "representation.radial.widths"):
            state[name] = tensor.double() * length
        elif name == "representation.radial.frequencies":
            state[name] = tensor.double() / length
        elif (
            representation["radial"]["kind"] == "bessel"
            and name.startswith("representation.filters.")
            and name.endswith(".weight")
        ):
            state[name] = tensor.double() * length


def _rescale_head(head: str, config: dict[str, Any], state: dict[str, Tensor], factor: float, length: float) -> None:
    """Sets scale and references of a head so that it answers in our unit, `factor` of ours per foreign unit.

    A head has one scale, but two dimensions: charges (property per length) and atomic dipoles (property), or α₀
    (property) and ν (property per length). The vector output takes up the difference in its last linear map.
    """
    prefix = f"heads.{head}."
    vectors = 1.0
    if head == "dipole":
        scale, vectors = factor / length, length
        config["heads"] = {**config["heads"], head: {**config["heads"][head], "charge_unit": scale}}
    elif head == "polarizability":
        scale, vectors = factor, 1.0 / length
    else:
        scale = factor
    own = state.get(prefix + "scale", torch.ones((), dtype=torch.float64))  # a dialect may normalise its output
    state[prefix + "scale"] = own * scale
    if prefix + "references" in state:
        state[prefix + "references"] = state[prefix + "references"].double() * scale
    mixes = [name for name in state if name.startswith(prefix + "network.blocks.") and name.endswith(".mix.weight")]
    if vectors != 1.0 and mixes:
        last = max(mixes, key=lambda name: int(name.split(".")[-3]))
        mix = state[last].double()
        mix[mix.shape[0] // 2 :] *= vectors  # the rows of W, whose output the gate multiplies
        state[last] = mix
