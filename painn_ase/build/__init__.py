"""From a molecule and a reference method to a model that can be believed: sample, label, train, run, ask again, stop.

`build` orchestrates what the package has (sampling, labelling, training, selection, checks) and holds no physics of its
own. Everything is in one folder; a build that was killed at any moment goes on where it was, and labels nothing twice.
"""

from painn_ase.build.builder import Built, build, dry_run
from painn_ase.build.request import Request, read_request

__all__ = ["Built", "Request", "build", "dry_run", "read_request"]
