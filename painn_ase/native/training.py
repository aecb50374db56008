"""The part of the C interface (csrc/painn.h) that trains."""

from ctypes import POINTER, Structure, c_char_p, c_double, c_int, c_int32, c_int64, c_void_p

LABELS = ("energy", "forces", "stress", "dipole", "polarizability")  # in the order of PainnSample and PainnLoss


class Sizes(Structure):
    _fields_ = (
        ("width", c_int32),
        *((name, c_int32) for name in ("features", "interactions", "filters", "sets", "radial", "intervals")),
        ("elements", c_int32),
        ("heads", c_int32),
        ("energy_head", c_int32),
        ("cutoff", c_double),
        ("epsilon", c_double),
        ("spline", c_void_p),
        ("parameters", c_int64),
        ("places", c_void_p),
        ("counts", c_void_p),
        ("parts", c_void_p),
        ("decays", c_void_p),
    )


class Sample(Structure):
    _fields_ = (
        ("atoms", c_int64),
        ("pairs", c_int64),
        *((name, c_void_p) for name in ("numbers", "centers", "neighbors", "vectors", "positions")),
        ("volume", c_double),
        ("charge", c_double),
        *((name, c_void_p) for name in ("base", "base_forces", "base_virial")),
        ("labels", c_void_p * len(LABELS)),
    )


class Loss(Structure):
    _fields_ = (
        ("weights", c_double * len(LABELS)),
        ("sizes", c_double * len(LABELS)),
        ("absolute", c_int32),
    )


class Update(Structure):
    _fields_ = (
        *((name, c_double) for name in ("learning_rate", "decay", "beta_1", "beta_2", "epsilon", "clip", "follow")),
        ("steps", c_void_p),
    )


SIGNATURES: dict[str, tuple] = {
    "painn_trainer_new": (c_void_p, POINTER(Sizes), c_void_p, c_char_p),
    "painn_trainer_free": (None, c_void_p),
    "painn_trainer_error": (c_char_p, c_void_p),
    "painn_trainer_arrays": (c_int, c_void_p, *[c_void_p] * 5),
    "painn_trainer_add": (c_int, c_void_p, POINTER(Sample)),
    "painn_trainer_clear": (c_int, c_void_p),
    "painn_trainer_changed": (c_int, c_void_p),
    "painn_trainer_step": (c_int, c_void_p, c_void_p, c_int64, POINTER(Loss), c_void_p, c_int32, c_void_p),
    "painn_trainer_predict": (c_int, c_void_p, c_int32, c_void_p, c_int64, c_int32, c_void_p),
}
"""Result and arguments of each function."""
