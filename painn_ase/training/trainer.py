"""Training: from a configuration and its data to a model folder, resumable after a kill with the same result."""

import datetime
import logging
import math
import platform
import re
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch

from painn_ase.cards.render import render_card
from painn_ase.errors import InputError, SimulationError
from painn_ase.model import Model
from painn_ase.model_files import WEIGHTS, load_model, save_model
from painn_ase.progress import Meter
from painn_ase.properties import TRAINABLE
from painn_ase.threads import torch_threads
from painn_ase.training.average import AveragedModel
from painn_ase.training.checkpoint import load_state, save_state
from painn_ase.training.compiled import choose_step
from painn_ase.training.config import TrainConfig, flat
from painn_ase.training.data import Batch, Example, batch_indices, collate, coverage_of
from painn_ase.training.device import choose_device
from painn_ase.training.evaluate import Comparison, Evaluation, compare
from painn_ase.training.interrupts import interrupts
from painn_ase.training.log import Log, checksums
from painn_ase.training.loss import Loss
from painn_ase.training.memory import memory_kept
from painn_ase.training.normalization import describe_normalization, fit_normalization, label_sizes
from painn_ase.training.schedule import LearningRate
from painn_ase.training.splits import load_splits
from painn_ase.training.start import earlier_model, new_model, started_model

logger = logging.getLogger(__name__)

CHECKPOINT, LOG, MODEL = "checkpoint.safetensors", "log.csv", "model"
_FREE_KEYS = ("output", "threads", "hours", "early_stopping", "checkpoint_epochs", "checkpoint_seconds")


@dataclass(frozen=True)
class Trained:
    """The best model of a run (lowest validation score of the averaged weights) and what it is worth."""

    model: Model  # with the averaged weights of the best epoch
    folder: Path  # of the saved model
    epochs: int  # that were trained
    best_epoch: int  # lowest validation score
    finished: bool  # False after an interrupt, or when [run] hours are used up: --resume continues
    evaluations: dict[str, Evaluation]  # 'validation' and, where there is one and no interrupt, 'test'


@dataclass
class Progress:
    """Where a run stands; JSON-able."""

    epoch: int = 0  # completed
    step: int = 0  # completed
    best_epoch: int = 0
    best_score: float | None = None
    seconds: float = 0.0


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    progress: bool = True,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Trained:
    """Trains a model as `config` says and returns the best one, which is also saved in `output/model`.

    The output folder also receives `log.csv` (a row per epoch) and `checkpoint.safetensors`. With `resume` the run
    continues from there, bit for bit as if it had never stopped (same machine, same threads). Ctrl-C finishes the
    epoch and saves, without a look at the test set; so does the end of `[run] hours`, but with one. `on_epoch` is
    called with each row of the log. Raises `InputError` for unusable data or when an earlier run would be overwritten,
    `SimulationError` when the loss is no longer finite.
    """
    with torch_threads(config.run.threads), memory_kept(), interrupts() as interrupt:
        run = _Run(config, resume)
        with Meter(run.epochs, "epoch", "train", initial=run.at.epoch, shown=progress) as shown:
            while not (run.done or run.out_of_time or interrupt.requested):
                row, validation = run.epoch()
                shown.total = run.epochs
                shown.update(", ".join(str(c.error()) for c in validation.values()))
                if on_epoch is not None:
                    on_epoch(row)
        run.save()
        return run.result(tested=run.done or run.out_of_time)


class _Run:
    """One training run: everything that changes while it goes on, and how it is saved and restored."""

    def __init__(self, config: TrainConfig, resume: bool) -> None:
        self.config = config
        self.folder = config.run.output
        self.device = choose_device(config.run.device)
        saved = self._saved(resume)
        # the architecture is built first: a mistake there should not wait for the data
        plan = new_model(config, [1])
        cutoff = plan.cutoff
        earlier = earlier_model(config, plan)
        known = (earlier and earlier.trained_on) or frozenset()
        splits = load_splits(config.data, cutoff, plan.molecular, known)
        self.examples = splits.pop("train")
        validation = splits["validation"]
        self.held = {name: _batches(members, config.run.batch_size) for name, members in splits.items()}
        distinct = list({id(e): e for e in self.examples}.values())  # some may be visited more than once
        self.counts = {"train": len(distinct)} | {name: len(members) for name, members in splits.items()}
        elements = sorted({int(z) for e in self.examples for z in e.graph.numbers.unique()})
        if earlier is None:
            self.model = new_model(config, elements)
            sizes = fit_normalization(self.model, self.examples)
        else:
            self.model = started_model(config, earlier, elements, self.examples)
            sizes = label_sizes(self.model, self.examples)
        self.loss = Loss(config.weights, sizes, config.loss.kind)
        self.model.coverage = coverage_of(distinct, cutoff)
        self.model.trained_on = known | {e.geometry for e in distinct}
        self.model.to(self.device, getattr(torch, config.run.dtype))
        self.average = AveragedModel(self.model, config.optimizer.ema)
        self.best = {name: tensor.clone() for name, tensor in self.average.model.named_parameters()}
        wanted = config.run.step if saved is None or config.run.step != "auto" else _way(saved)
        self.way = choose_step(self.model, self.average, self.loss, config.optimizer, config.run, wanted)
        self.way.set_examples(self.examples, validation, config.run.batch_size)
        self.steps_per_epoch = len(list(batch_indices(self.examples, config.run.batch_size)))
        self.rate = LearningRate(config.schedule, config.run.epochs * self.steps_per_epoch)
        self.at = Progress()
        files = [*config.data.train, *config.data.validation, *config.data.test]
        self.checksums = checksums(files + ([config.run.start / WEIGHTS] if config.run.start else []))
        if saved is not None:
            self._restore(*saved)
        self.folder.mkdir(parents=True, exist_ok=True)
        columns = ["epoch", "step", "seconds", "learning_rate", "train_loss", "validation_loss", "validation_score"]
        units = {name: f"{name} MAE ({c.error().unit})" for name, c in self.way.validate().items()}
        self.log = Log(self.folder / LOG, [*columns, *units.values()], self.at.epoch)
        self.units = units
        self.saved_at = time.monotonic()

    @property
    def epochs(self) -> int:
        """How many the run will have made: those asked for, or as many as fit into the schedule's minutes."""
        if self.config.schedule.minutes:
            return max(1, round(self.rate.total_steps / self.steps_per_epoch))
        return self.config.run.epochs

    @property
    def done(self) -> bool:
        patience = self.config.run.early_stopping
        waited = self.at.epoch - self.at.best_epoch
        return self.at.epoch >= self.epochs or bool(patience and waited >= patience)

    @property
    def out_of_time(self) -> bool:
        """Whether another epoch would end after `[run] hours`; a first one is always made."""
        budget, at = 3600 * self.config.run.hours, self.at
        return bool(budget and at.epoch and at.seconds * (1 + 1 / at.epoch) > budget)

    def epoch(self) -> tuple[dict[str, float], dict[str, Comparison]]:
        """Trains for one epoch, validates, and returns the row of the log and the validation set's predictions."""
        start = time.monotonic()
        rng = np.random.default_rng([self.config.run.seed, self.at.epoch])
        total: Any = 0.0  # a tensor where torch makes the steps
        batches = list(batch_indices(self.examples, self.config.run.batch_size, rng))
        for indices in batches:
            total += self.way.step(indices, self._learning_rate(), self.at.step + 1)
            self.at.step += 1
        last_rate = self._learning_rate(-1)
        validation = self.way.validate()
        errors = {name: c.per_atom for name, c in validation.items()}
        row = {
            "epoch": self.at.epoch + 1,
            "step": self.at.step,
            "learning_rate": last_rate,
            "train_loss": float(total) / len(batches),
            "validation_loss": self.loss.of(errors),
            "validation_score": self.loss.score(errors),
        }
        if not math.isfinite(row["train_loss"] + row["validation_loss"]):
            raise SimulationError(
                f"training diverged in epoch {row['epoch']} (loss {row['train_loss']}); expected finite numbers. Lower "
                "[optimizer] learning_rate or gradient_norm, or raise [schedule] warmup; the last checkpoint is intact"
            )
        self.at.epoch += 1
        self.rate.observe(row["validation_score"])
        if self.at.best_score is None or row["validation_score"] < self.at.best_score:
            self.at.best_score, self.at.best_epoch = row["validation_score"], self.at.epoch
            self._keep_best()
        self.at.seconds += time.monotonic() - start
        self.rate.keep_pace(self.at.step, self.at.seconds)
        row["seconds"] = round(self.at.seconds, 3)
        row |= {self.units[name]: c.error().mae for name, c in validation.items()}
        self.log.write(row)
        waited = time.monotonic() - self.saved_at
        if self.at.epoch % self.config.run.checkpoint_epochs == 0 or waited >= self.config.run.checkpoint_seconds:
            self.save()
        return row, validation

    def _learning_rate(self, ahead: int = 0) -> float:
        """Of the next step, or of one so many steps ahead of it."""
        return self.config.optimizer.learning_rate * self.rate.at(self.at.step + ahead)

    @torch.no_grad()
    def _keep_best(self) -> None:
        for name, tensor in self.average.model.named_parameters():
            self.best[name].copy_(tensor)

    def save(self) -> None:
        """Writes the checkpoint, and the best model so far."""
        groups: dict[str, dict[str, Any]] = {
            "model": dict(self.model.named_parameters()),
            "average": dict(self.average.model.named_parameters()),
            "best": self.best,
            "optimizer": self.way.moments(),
        }
        scalars = {"progress": vars(self.at), "rate": self.rate.state(), "run": self._identity()}
        save_state(self.folder / CHECKPOINT, groups, scalars)
        if self.at.best_epoch:
            with self._best_weights() as model:
                self._save_model(model)
        self.saved_at = time.monotonic()

    def result(self, tested: bool) -> Trained:
        """The best model, evaluated and saved with its errors; those of the test set if `tested`."""
        if not self.at.best_epoch:
            raise InputError("training was interrupted before its first epoch ended; there is no model yet")
        with self._best_weights() as best:
            evaluations = {
                part: Evaluation(compare(best, b), self.counts[part])
                for part, b in self.held.items()
                if tested or part == "validation"
            }
            best.errors = {part: evaluation.to_dict() for part, evaluation in evaluations.items()}
            self._save_model(best)
        folder = self.folder / MODEL
        model = load_model(folder)
        return Trained(model, folder, self.at.epoch, self.at.best_epoch, self.done, evaluations)

    def _save_model(self, model: Model) -> None:
        """Writes the model folder with a card that says no more than its header."""
        model.name, model.provenance = MODEL, self.provenance()
        save_model(model, self.folder / MODEL, card=render_card(model))

    @contextmanager
    def _best_weights(self) -> Any:
        """The averaged model, with the best weights while the block lasts."""
        model = self.average.model
        current = {name: tensor.clone() for name, tensor in model.named_parameters()}
        model.load_state_dict(self.best, strict=False)
        try:
            yield model
        finally:
            model.load_state_dict(current, strict=False)

    def provenance(self) -> dict[str, Any]:
        """How the model came to be, JSON-able."""
        return {
            "about": self.config.about,
            "training": self.config.to_dict(),
            "data_sha256": self.checksums,
            "structures": self.counts,
            "normalization": describe_normalization(self.model),
            "epochs": self.at.epoch,
            "best_epoch": self.at.best_epoch,
            "seconds": round(self.at.seconds),
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "versions": _versions(),
        }

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to continue, as flat names and values."""
        plain = self.config.to_dict()
        schedule = self.config.schedule
        for key in (*_FREE_KEYS, *(["epochs"] if schedule.kind == "plateau" or schedule.minutes else [])):
            plain["run"].pop(key)
        plain["run"]["step"] = self.way.name
        plain.pop("about")
        if not self.config.data.validation:
            plain["data"]["split"]["order"] = (
                "hash of geometry or group"  # runs of before would now leak if they went on
            )
        return flat(plain) | flat(self.checksums, "sha256 of ")

    def _saved(self, resume: bool) -> tuple[dict[str, Any], dict[str, Any]] | None:
        path = self.folder / CHECKPOINT
        if resume:
            return load_state(path)
        if path.exists():
            raise InputError(
                f"{self.folder} already holds a training run; continue it with --resume (resume=True), or choose "
                "another [run] output"
            )
        return None

    @torch.no_grad()
    def _restore(self, groups: dict[str, Any], scalars: dict[str, Any]) -> None:
        now, then = self._identity(), scalars["run"]
        # runs of earlier versions did not spell out ε, which was 1e-8, nor radial functions, and had no choice of loss
        # and start
        then = {key: 1e-8 for key in now if re.fullmatch(r"model\.(representation|heads\.\w+)\.epsilon", key)} | then
        radial = {f"model.representation.radial.{key}": v for key, v in (("kind", "bessel"), ("count", 20))}
        then = {key: value for key, value in radial.items() if key in now and not radial.keys() & then.keys()} | then
        then = {"loss.kind": "squared", "run.start": None, "run.step": "torch", "schedule.minutes": 0.0} | then
        # nor weights of all labels: that of one which is not there changes nothing
        then = {f"loss.{n}": now[f"loss.{n}"] for n in TRAINABLE if n not in self.config.data.labels} | then
        then = {key: [] for key in now if re.fullmatch(r"data\.labels\.\w+\.also", key)} | then
        for key in sorted({*now, *then}):
            if now.get(key) != then.get(key):
                raise InputError(
                    f"resume: {key} was {then.get(key)!r} and is now {now.get(key)!r}; set it back, or start anew in "
                    "another [run] output"
                )
        # copied into tensors that exist, for their alignment in memory can decide over the last bit of a sum
        for name, parameter in self.model.named_parameters():
            parameter.copy_(groups["model"][name])
        for name, parameter in self.average.model.named_parameters():
            parameter.copy_(groups["average"][name])
            self.best[name].copy_(groups["best"][name])
        self.way.restore(groups.get("optimizer", {}))
        self.at = Progress(**scalars["progress"])
        self.rate.restore(scalars["rate"])


def _way(saved: tuple[dict[str, Any], dict[str, Any]]) -> str:
    """How a run that is to be continued made its steps."""
    return saved[1]["run"].get("run.step", "torch")


def _batches(examples: list[Example], size: int) -> list[Batch]:
    return [collate([examples[k] for k in indices]) for indices in batch_indices(examples, size)]


def _versions() -> dict[str, str]:
    try:
        own = metadata.version("painn-ase")
    except metadata.PackageNotFoundError:
        own = "source tree"
    return {"painn_ase": own, "torch": torch.__version__, "ase": ase.__version__, "python": platform.python_version()}
