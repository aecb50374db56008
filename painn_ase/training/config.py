"""What a training run is: a TOML file, read into frozen dataclasses whose every key and type is checked.

Paths are relative to the TOML file. Units and label keys are named by the user; nothing is guessed.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from painn_ase.data import Label
from painn_ase.data.labels import label_factor
from painn_ase.errors import InputError, closest
from painn_ase.model_files import bundled_models, find_model
from painn_ase.model_files.header import read_header
from painn_ase.properties import DERIVED_FROM, TRAINABLE
from painn_ase.schema import at_least, between, from_table, read_toml

# ε under the norms |V| of PaiNN's vectors where a training names none; docs/architecture.md says why. Constructors keep
# the 1e-8 that model files without the key were made with.
EPSILON = 0.05
# Å, half a wave of the finest radial function of a training that names none. Finer ones let a network bend between the
# distances that a few hundred frames show: the largest lever on accuracy that docs/training.md found.
FINEST = 0.625
_HEADS_WITH_NORMS = ("dipole", "polarizability", "cell_dipole", "quadrupole", "hyperpolarizability")


@dataclass(frozen=True)
class Split:
    """How validation frames are set apart: at random, or by whole groups that share `info[key]`."""

    by: Literal["seed", "info"] = "seed"
    key: str | None = None
    seed: int = at_least(0, 0)
    validation: float = between(0.0, 1.0, 0.1)  # fraction of the frames


@dataclass(frozen=True)
class Data:
    train: tuple[Path, ...]  # extended XYZ files or ASE databases
    labels: dict[str, Label]
    validation: tuple[Path, ...] = ()  # instead of a split
    test: tuple[Path, ...] = ()  # evaluated once, at the end
    split: Split = field(default_factory=Split)
    repeat: dict[str, int] = field(default_factory=dict)  # how often an epoch visits the frames of a training file
    charge: str | float = "charge"  # key in info of the total charge in e, 0 where it is absent; or that of all frames


@dataclass(frozen=True)
class Architecture:
    """Keywords of `Model.from_config`; heads default to those the labels need.

    `parse_config` spells these out, and of PaiNN `radial_functions` and, there and in heads that take norms of vectors,
    `epsilon` = 0.05.
    """

    representation: dict[str, Any] = field(default_factory=lambda: {"kind": "painn"})
    heads: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LossWeights:
    """Dimensionless: each error is divided by the RMS of the labels first. `Loss` says what `kind` means."""

    kind: Literal["squared", "absolute"] = "absolute"
    energy: float = at_least(0.0, 0.1)
    forces: float = at_least(0.0, 1.0)
    stress: float = at_least(0.0, 0.1)
    dipole: float = at_least(0.0, 0.1)
    born_effective_charges: float = at_least(0.0, 0.1)
    polarizability: float = at_least(0.0, 0.1)
    quadrupole: float = at_least(0.0, 0.1)
    hyperpolarizability: float = at_least(0.0, 0.1)


@dataclass(frozen=True)
class Optimizer:
    """AdamW with clipped gradients, and an exponential moving average (EMA) of the weights."""

    learning_rate: float = at_least(0.0, 1e-3)
    weight_decay: float = at_least(0.0, 0.01)
    gradient_norm: float = at_least(0.0, 10.0)  # longer gradients are shortened to it; 0: never
    ema: float = between(0.0, 1.0, 0.999)  # decay per step, reached by a ramp; 0: no averaging


@dataclass(frozen=True)
class Schedule:
    """Learning rate: linear warm-up, then a half cosine to the last epoch, or halving on plateaus."""

    kind: Literal["cosine", "plateau"] = "cosine"
    minutes: float = at_least(0.0, 0.0)  # cosine only: it ends after them, and the run with it; 0: after [run] epochs
    warmup: int = at_least(0, 100)  # steps
    minimum: float = between(0.0, 1.0, 1e-3)  # fraction of the learning rate
    factor: float = between(0.0, 1.0, 0.5)  # plateau only, as are the next two
    patience: int = at_least(1, 75)  # epochs
    cooldown: int = at_least(0, 10)  # epochs


@dataclass(frozen=True)
class Run:
    output: Path
    start: Path | None = None  # model folder or bundled name to go on from, with fresh moments of the optimizer
    epochs: int = at_least(1, 300)
    hours: float = at_least(0.0, 0.0)  # of epochs, resumed parts added up; 0: as many as it takes
    batch_size: int = at_least(1, 5)
    seed: int = at_least(0, 0)
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"  # of the network; geometry and sums are float64
    step: Literal["auto", "compiled", "torch"] = "auto"  # auto: compiled where it can train the model, in float32
    threads: int = at_least(0, 0)  # 0: all cores; a compiled step has the same bits with any number of them
    early_stopping: int = at_least(0, 0)  # epochs without improvement; 0: never
    checkpoint_epochs: int = at_least(1, 50)
    checkpoint_seconds: float = at_least(0.0, 300.0)


@dataclass(frozen=True)
class TrainConfig:
    """All of a training run; `load_config` reads it from a TOML file."""

    data: Data  # files, labels and units
    run: Run  # output, length, batches, device
    model: Architecture = field(default_factory=Architecture)  # representation and heads; by default those of a start
    loss: LossWeights = field(default_factory=LossWeights)  # of each property
    optimizer: Optimizer = field(default_factory=Optimizer)  # AdamW
    schedule: Schedule = field(default_factory=Schedule)  # of the learning rate
    about: dict[str, str] = field(default_factory=dict)  # what the card should say: level of theory, licence, citation

    @property
    def weights(self) -> dict[str, float]:
        """Loss weight of each labelled property."""
        return {name: getattr(self.loss, name) for name in self.data.labels}

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-able dictionaries; of paths the last part only, for folders are private."""
        return _plain(asdict(self))


def load_config(path: str | Path) -> TrainConfig:
    """The training configuration in the TOML file `path`.

    Raises `InputError` for a missing or malformed file, unknown keys (the nearest valid one is named), wrong
    types, values out of range and unknown units.
    """
    path = Path(path)
    return parse_config(read_toml(path, "training configuration"), path.parent)


def parse_config(table: dict[str, Any], folder: str | Path = ".") -> TrainConfig:
    """The training configuration in nested dictionaries; paths are relative to `folder`. Errors as `load_config`."""
    config: TrainConfig = from_table(TrainConfig, table, folder=Path(folder).resolve())
    check_labels(config.data.labels)
    _check_split(config.data)
    _check_repeat(config.data)
    if not any(config.weights.values()):
        raise InputError("[loss]: expected a positive weight for at least one labelled property; all are zero")
    if config.schedule.minutes and config.schedule.kind != "cosine":
        raise InputError("[schedule] minutes: a plateau has no end; take kind = 'cosine', or [run] hours")
    if config.optimizer.learning_rate == 0:
        raise InputError("[optimizer] learning_rate: expected a positive number; got 0")
    named = table["run"].get("start")  # a bundled name means the bundled model, as everywhere
    run = replace(config.run, start=find_model(named)) if named in bundled_models() else config.run
    if run.start is not None and "representation" not in table.get("model", {}):
        return replace(config, model=_architecture_of(run.start, config), run=run)
    return replace(config, model=spelled_out(config.model, config.data.labels), run=run)


def _architecture_of(start: Path, config: TrainConfig) -> Architecture:
    """That of a model folder, with the heads that are named or that the labels need."""
    has = read_header(find_model(start))["model"]
    wanted = spelled_out(Architecture(has["representation"], config.model.heads), config.data.labels).heads
    heads = {name: config.model.heads.get(name) or has["heads"].get(name, new) for name, new in wanted.items()}
    return Architecture(has["representation"], heads)


def default_heads(labels: Iterable[str]) -> dict[str, Any]:
    """The heads, without options, that provide the labelled properties."""
    return {DERIVED_FROM.get(name, name): {} for name in labels}


def spelled_out(model: Architecture, labels: Iterable[str]) -> Architecture:
    """With the heads that the labels need, and the ε and radial functions of a new training, where the user names none.

    Only with PaiNN: ε must be small beside |V|², and vectors of other networks are of other lengths (TensorNet's begin
    ten times as short).
    """
    heads = model.heads or default_heads(labels)
    if model.representation.get("kind") != "painn":
        return replace(model, heads=heads)
    return Architecture(
        {"epsilon": EPSILON, "radial": radial_functions(model.representation.get("cutoff")), **model.representation},
        {
            name: {"epsilon": EPSILON, **given}
            if isinstance(given, dict) and given.get("kind", name) in _HEADS_WITH_NORMS
            else given
            for name, given in heads.items()
        },
    )


def radial_functions(cutoff: Any) -> dict[str, Any]:
    """Bessel functions down to half waves of `FINEST`, for a cutoff in Å; for PaiNN's 5 Å where it is no length."""
    known = isinstance(cutoff, int | float) and 0 < cutoff < math.inf
    return {"kind": "bessel", "count": max(4, round((cutoff if known else 5.0) / FINEST))}


def check_labels(labels: dict[str, Label]) -> None:
    """Raises `InputError` when there are no labels, or for a property or unit that is not known."""
    if not labels:
        raise InputError(f"[data.labels]: expected at least one of {', '.join(TRAINABLE)}; got none")
    for name, label in labels.items():
        if name not in TRAINABLE:
            raise InputError(
                f"[data.labels]: expected properties among {', '.join(TRAINABLE)}; got {name!r}"
                f"{closest(name, TRAINABLE)}"
            )
        label_factor(name, label.unit, f"[data.labels] {name}")


def _check_repeat(data: Data) -> None:
    names = [path.name for path in data.train]
    for name, times in data.repeat.items():
        if name not in names:
            known = ", ".join(names)
            raise InputError(
                f"[data] repeat: expected names of training files, {known}; got {name!r}{closest(name, names)}"
            )
        if times < 1:
            raise InputError(f"[data] repeat: expected a whole number >= 1 for {name!r}; got {times}")


def _check_split(data: Data) -> None:
    if data.split.by == "info" and not data.split.key:
        raise InputError("[data.split]: by = 'info' needs key, the entry of info that names a frame's group")
    if data.split.by == "seed" and data.split.key:
        raise InputError("[data.split]: key is used with by = 'info' only; add by = 'info' or drop key")
    if not data.validation and not 0 < data.split.validation < 1:
        raise InputError(
            f"[data.split] validation: expected a fraction between 0 and 1; got {data.split.validation}. Or name a "
            "file: [data] validation"
        )
    if data.validation and data.split != Split():
        raise InputError("[data]: give either validation (files) or [data.split], not both")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.name if isinstance(value, Path) else value


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted keys."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return result
