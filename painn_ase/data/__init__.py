"""Reference data as people have them: read, known again, checked, converted."""

from painn_ase.data.identity import fingerprint, geometry
from painn_ase.data.labels import Label
from painn_ase.data.reading import read_frames

__all__ = ["Label", "fingerprint", "geometry", "read_frames"]
