"""ASE's optimisers and what they remember from step to step; their own restart files leave out a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.optimize import BFGS, FIRE, LBFGS

OPTIMIZERS = {"FIRE": FIRE, "BFGS": BFGS, "LBFGS": LBFGS}


def optimizer_state(driver: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and numbers that bring an optimiser back (`restore_optimizer`)."""
    if isinstance(driver, FIRE):
        numbers = {name: getattr(driver, name) for name in ("dt", "a", "Nsteps")}
        return {} if driver.vel is None else {"velocities": driver.vel}, numbers
    if isinstance(driver, LBFGS):
        state = driver.state
        arrays = {"s": np.array(state.s), "y": np.array(state.y), "rho": np.array(state.rho)}
        last = {} if driver.r0 is None else {"r0": driver.r0, "f0": driver.f0}
        return arrays | last, {"iteration": state.iteration}
    if driver.state is None:
        return {}, {}
    return {"hessian": driver.state.hessian, "pos0": driver.pos0, "forces0": driver.forces0}, {}


def restore_optimizer(driver: Any, arrays: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> None:
    """Gives a new optimiser the state of an earlier one."""
    if isinstance(driver, FIRE):
        driver.vel = arrays["velocities"].copy() if "velocities" in arrays else None
        driver.dt, driver.a, driver.Nsteps = numbers["dt"], numbers["a"], numbers["Nsteps"]
    elif isinstance(driver, LBFGS):
        state = driver.state
        state.iteration = numbers["iteration"]
        # rows of their own, as before, because how they lie in memory can decide over the last bit of a dot product
        state.s, state.y, state.rho = ([row.copy() for row in arrays[name]] for name in ("s", "y", "rho"))
        if "r0" in arrays:
            driver.r0, driver.f0 = arrays["r0"].copy(), arrays["f0"].copy()
    elif "hessian" in arrays:
        driver.H0 = arrays["hessian"].copy()
        driver.update(None, None, None, None)  # makes its state of H0
        driver.pos0, driver.forces0 = arrays["pos0"].copy(), arrays["forces0"].copy()
