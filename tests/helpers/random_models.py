"""Small random models for tests: every kind of network, radial function, cutoff and sharing, all heads that fit."""

import torch

from painn_ase.model import Model

ARCHITECTURES = {
    "bessel-cosine": {},
    "gaussian-polynomial": {
        "radial": {"kind": "gaussian", "count": 12},
        "cutoff_function": {"kind": "polynomial", "p": 5},
    },
    "centered-mollifier-shared": {
        "radial": {"kind": "gaussian", "count": 10, "start": 0.5, "centered": True},
        "cutoff_function": {"kind": "mollifier"},
        "shared_filters": True,
        "shared_interactions": True,
    },
    "cross-product-and-tensors": {"kind": "painn_variant", "cross_product": True, "tensor_features": True},
    "schnet": {"kind": "schnet", "radial": {"kind": "gaussian", "count": 12}},
    "tensornet": {"kind": "tensornet", "radial": {"kind": "exponential_normal", "count": 8}, "interactions": 1},
    "ictp": {"kind": "ictp", "features": 8},
    "ictp-rank-3-coupled": {
        "kind": "ictp",
        "features": 4,
        "max_rank": 3,
        "hidden_rank": 1,
        "output_rank": 1,
        "correlation": 2,
        "coupled": True,
    },
    "eninet": {"kind": "eninet", "channels": 8, "line_cutoff": 3.0},
    "schnet-in-frames": {
        "kind": "tensor_frames",
        "vector_channels": 2,
        "tensor_channels": 1,
        "radial": {"kind": "gaussian", "count": 12},
    },
    "mace": {"kind": "mace", "features": 4},
    "mace-fused": {"kind": "mace", "features": 4, "interactions": 1, "output_rank": 1, "fusion": [["A", "A"], "A"]},
    "cormorant": {"kind": "cormorant", "features": 4},
    "cormorant-fused": {"kind": "cormorant", "features": 4, "max_rank": 1, "fusion": ["M", ["F", "M"]]},
}
"""Options of networks by name, PaiNN's by default; a new one is one more line here, and every physics test applies."""

HEADS = {"energy": {}, "dipole": {}, "polarizability": {}}
OTHER_HEADS = {
    "cross-product-and-tensors": {"energy": {}, "dipole": {}, "tensor_polarizability": {}},
    "schnet": {"energy": {}, "dipole": {"atomic_dipoles": False}},
    "tensornet": {"energy": {}, "dipole": {}, "tensor_polarizability": {}},
    "ictp": {"energy": {}, "dipole": {}, "tensor_polarizability": {}},
    "schnet-in-frames": {"energy": {}, "dipole": {}, "tensor_polarizability": {}},
    "mace": {"energy": {}, "dipole": {}, "tensor_polarizability": {}},
    "cormorant": {"energy": {}, "dipole": {}, "tensor_polarizability": {}},
}
"""Of the networks that cannot have all of `HEADS`, or can have others."""

NATIVE = ("bessel-cosine", "gaussian-polynomial", "centered-mollifier-shared")
"""Those that the compiled kernel knows."""


def random_model(architecture: str = "bessel-cosine", *, seed: int = 0, heads: dict | None = None, **options) -> Model:
    """A float64 model with random weights and biases, large enough that every term of the network matters."""
    config = {
        "representation": {
            "kind": "painn",
            **{"features": 16, "interactions": 2, "cutoff": 4.0},
            **ARCHITECTURES[architecture],
            **options,
        },
        "heads": OTHER_HEADS.get(architecture, HEADS) if heads is None else heads,
        "elements": [1, 6, 8, 14],
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Model.from_config(config).double()
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.3)
        for head in model.heads.values():
            head.references.copy_(torch.randn(100, dtype=torch.float64))
            head.scale.fill_(0.7)
    return model.eval()
