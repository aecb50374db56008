"""What a model's training data covered, and whether a structure lies within it.

Three things are stored, all from geometry and labels alone, so that a check needs no network: the shortest distance
seen between each pair of elements, the largest force, and prototypes of the atomic environments. An environment is
the density of neighbours of each element on a radial grid; the angle between two bonds enters through the distance
between their ends, which is a pair of a third atom, so what one atom's numbers leave open its neighbours' fix.
Features of the network would be the other choice. They cost a network where the fast backends keep none, change with
every training, and are made to ignore what the labels did not need; neighbour densities are the same for every model
of the data. Distances are plain, not whitened: noise along directions that hardly vary must not decide.

For the bundled ethanol (391 frames) the 60 test frames of other trajectories score at most 0.95, while O-H torn to
1.5 Å, C-O to 1.9 Å, other molecules and dimers score above the limit of 1.1: a net for what is broken or new, coarser
than the disagreement of a committee (`forces_std`) and there with every single model.

A structure inside is no promise of accuracy, and one just outside may be predicted well. The check says where the
data end, which no error of the model can: networks are smooth and sure of themselves where they know nothing.
"""

from painn_ase.coverage.environments import Environments
from painn_ase.coverage.extent import CLOSER, FARTHER, STRONGER, Coverage
from painn_ase.coverage.monitor import CoverageMonitor, CoverageWarning

__all__ = ["CLOSER", "FARTHER", "STRONGER", "Coverage", "CoverageMonitor", "CoverageWarning", "Environments"]
