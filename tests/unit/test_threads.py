"""The thread count of PyTorch is changed for a block, and only for it."""

import pytest
import torch

from painn_ase.threads import torch_threads


@pytest.fixture
def one():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one")
def test_block_has_its_thread_count_and_leaves_the_one_before():
    with torch_threads(2):
        assert torch.get_num_threads() == 2
        with torch_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("one")
def test_zero_leaves_the_thread_count_alone():
    with torch_threads(0):
        assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("one")
def test_thread_count_is_restored_after_an_error():
    with pytest.raises(KeyError), torch_threads(2):
        raise KeyError
    assert torch.get_num_threads() == 1
