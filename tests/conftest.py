"""Test setup: one thread, because the systems are small and idle threads of a busy machine only wait for each other."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)
