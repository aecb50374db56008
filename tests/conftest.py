"""Test setup: one thread, because the systems are small and idle threads of a busy machine only wait for each other."""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # read when NumPy and PyTorch are first imported, which is below

import pytest  # noqa: E402
import torch  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)
