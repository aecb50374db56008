"""Training of models on labelled structures, and their evaluation."""

from painn_ase.data import Label, read_frames
from painn_ase.training.config import TrainConfig, load_config, parse_config
from painn_ase.training.evaluate import Evaluation, evaluate_model, parity_plot
from painn_ase.training.labels import parse_labels, present_labels, trained_labels
from painn_ase.training.trainer import Trained, train

__all__ = [
    "Evaluation",
    "Label",
    "TrainConfig",
    "Trained",
    "evaluate_model",
    "load_config",
    "parity_plot",
    "parse_config",
    "parse_labels",
    "present_labels",
    "read_frames",
    "train",
    "trained_labels",
]
