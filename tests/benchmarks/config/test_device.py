"""A device is one that numbers can be put on, or a sentence that says which are."""

import pytest

from dirbench.benchmarks.config.device import usable_device

ABSENT = ["gpu", "cuda:99", "cuda:-1", "mps:9", "xpu:99", "meta", "", "cpu:x", "CUDA", "tpu"]


@pytest.mark.parametrize("name", ABSENT)
def test_a_device_that_cannot_be_used_is_a_sentence(name):
    with pytest.raises(ValueError) as error:
        usable_device(name)
    said = str(error.value)
    assert said.startswith(f'--device "{name}" cannot be used here (') and "cpu" in said and "auto" in said
    assert "Error" not in said and "\n" not in said


def test_devices_that_are_there():
    assert usable_device("cpu") == "cpu" and usable_device("auto") in ("cpu", "cuda")
