"""A device that is not there is refused before anything is learnt, and what there is is told."""

import pytest
import torch

from smm_core.config import ConfigError
from smm_core.device import open_device


@pytest.fixture
def gpus(monkeypatch):
    """Return a function that makes torch see so many GPUs."""

    def see(count):
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"card {index}")

    return see


def test_the_processor_is_always_there():
    assert open_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "", "mps"])
def test_another_name_is_refused(name):
    with pytest.raises(ConfigError, match="expected cpu, cuda or cuda:N"):
        open_device(name)


def test_a_torch_without_cuda_says_so(monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    with pytest.raises(ConfigError, match="built for CPUs only; take device cpu, or install"):
        open_device("cuda")


def test_a_machine_without_a_gpu_says_so(gpus):
    gpus(0)
    with pytest.raises(ConfigError, match="torch sees no GPU; .* look at nvidia-smi"):
        open_device("cuda")


def test_one_gpu_too_far_names_those_there_are(gpus):
    gpus(2)
    with pytest.raises(ConfigError, match=r"sees cuda:0 \(card 0\), cuda:1 \(card 1\)"):
        open_device("cuda:2")


def test_a_gpu_that_is_there_is_opened_by_its_number(gpus):
    gpus(2)
    assert open_device("cuda") == torch.device("cuda", 0)
    assert open_device("cuda:1") == torch.device("cuda", 1)
