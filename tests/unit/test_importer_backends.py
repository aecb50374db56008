"""What only imported networks have is computed alike by every backend, or refused by it: never left out."""

import numpy as np
import pytest
from ase.build import molecule

from painn_ase.backends import NativeBackend, TorchBackend
from painn_ase.native.library import why_unavailable
from painn_ase.neighbors import graph_of

from helpers.random_models import random_model

TENSORS = {"dipole": {"epsilon": 1e-30}, "polarizability": {"epsilon": 1e-30}}
OPTIONS = {
    "vector biases": {"mixing_bias": True},
    "averaged references": {"heads": {"energy": {"mean_references": True}}},
    "averaged network": {"heads": {"energy": {"mean": True}}},
    "averaged both": {"heads": {"energy": {"mean": True, "mean_references": True}}},
    "charges in Debye/Å": {"heads": {"dipole": {"charge_unit": 0.2}}},
    "norms without ε": {"epsilon": 1e-30, "heads": {"energy": {}, **TENSORS}},
    "repulsion": {"repulsion": {"strength": 0.04, "sigma": 1.5, "power": 12.0}},
    "119 elements": {"embeddings": 119},
}


@pytest.mark.skipif(why_unavailable() is not None, reason=f"no native kernel: {why_unavailable()}")
@pytest.mark.parametrize("case", OPTIONS)
def test_the_native_backend_computes_or_refuses_what_imports_bring(case):
    model = random_model(**OPTIONS[case])
    if NativeBackend.obstacle(model) is not None:
        return
    atoms = molecule("CH3CH2OH")
    graph = graph_of(atoms, model.cutoff, charge=1.0)
    properties = model.properties - {"stress"}
    ours = NativeBackend(model).evaluate(graph, properties)
    theirs = TorchBackend(model, dtype="float64").evaluate(graph, properties)
    for name in properties:
        # the kernel computes in float32
        np.testing.assert_allclose(ours[name], theirs[name], atol=2e-5 * np.abs(theirs[name]).max())
