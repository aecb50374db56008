"""Reference data as people have them: read, known again, checked, converted."""

from painn_ase.data.checks import check
from painn_ase.data.convert import convert, standard_labels
from painn_ase.data.finding import Finding
from painn_ase.data.identity import fingerprint, geometry
from painn_ase.data.labels import Label
from painn_ase.data.reading import read_frames

__all__ = ["Finding", "Label", "check", "convert", "fingerprint", "geometry", "read_frames", "standard_labels"]
