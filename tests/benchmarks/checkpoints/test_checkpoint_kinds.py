"""Which kind of checkpoint a file is, by its first bytes."""

import json
import struct

import pytest

from dirbench.benchmarks.checkpoints.reading import read_checkpoint


@pytest.mark.parametrize("length", [0x80, 0x4B50, 0x28])
def test_a_safetensors_header_may_have_any_length(tmp_path, length):
    """The first byte of such a file is the header's length: 0x80 begins a pickle, 0x4B50 a zip."""
    target = 0x1000 * (length < 0x1000) + length
    header = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "__metadata__": {"pad": ""}}
    missing = target - len(json.dumps(header))
    header["__metadata__"]["pad"] = "x" * missing
    text = json.dumps(header).encode()
    assert len(text) == target and target & 0xFF == length & 0xFF
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + struct.pack("<f", 2.5))
    assert read_checkpoint(path).state["w"].item() == 2.5
