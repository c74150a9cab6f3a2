"""Latents as people have them in files: what is read, by its bytes, and what is explained instead."""

import io

import numpy as np
import pytest
import torch

from dirbench.benchmarks.checkpoints.latent_files import read_latents

W = np.linspace(-1, 1, 2 * 8 * 32).reshape(2, 8, 32)


@pytest.mark.parametrize("write", [
    lambda path: np.savez(path, w=W), lambda path: np.savez_compressed(path, anything=W),
    lambda path: np.savez(path, w=W, loss=np.zeros(3)), lambda path: np.savez(path, latents=W.astype(np.float16)),
    lambda path: np.savez(path, z=W.astype(">f8")), lambda path: torch.save(torch.from_numpy(W), path),
    lambda path: torch.save({"w": torch.from_numpy(W), "step": 3}, path),
    lambda path: torch.save([torch.from_numpy(W)], path),
    lambda path: torch.save(torch.nn.Parameter(torch.from_numpy(W)), path),
    lambda path: torch.save(torch.from_numpy(W).bfloat16(), path, _use_new_zipfile_serialization=False),
    lambda path: np.save(path, np.asfortranarray(W))])
def test_latents_are_read_from(tmp_path, write):
    stream = io.BytesIO()
    write(stream)
    (tmp_path / "latents").write_bytes(stream.getvalue())  # its bytes say what it is, not its name
    found = read_latents(tmp_path / "latents")
    assert found.dtype is torch.float32 and found.shape == (2, 8, 32)
    torch.testing.assert_close(found, torch.from_numpy(W).float(), atol=5e-3, rtol=0)


@pytest.mark.parametrize("write, words", [
    (lambda path: np.savez(path, a=W, b=W), ".npz of 2 arrays (a, b)"),
    (lambda path: np.savez(path), ".npz of 0 arrays"),
    (lambda path: np.savez(path, z=W, w=W), "save the one that is meant alone, as .npy"),
    (lambda path: np.savez(path, w=np.array([None])), "no array of latents"),
    (lambda path: torch.save({"a": torch.zeros(2, 3), "b": torch.zeros(1)}, path), ".pt of 2 arrays (a [2, 3], b [1])"),
    (lambda path: torch.save({"step": 3}, path), ".pt of 0 arrays"), (lambda path: torch.save(3, path), "int"),
    (lambda path: torch.save(torch.zeros(2, 3, dtype=torch.complex64), path), "complex64 [2, 3]"),
    (lambda path: np.save(path, np.zeros(32)), "array[None]"),
    (lambda path: np.save(path, np.zeros((2, 3), bool)), "bool"),
    (lambda path: np.save(path, np.zeros((2, 0))), "float64 [2, 0]"), (lambda path: np.save(path, 3.0), "float64 []"),
    (lambda path: np.save(path, np.array([["a"]])), "<U1"),
    (lambda path: np.save(path, np.array([[0.0], [np.nan], [np.inf]])), "rows 1, 2"),
    (lambda path: np.save(path, np.full((1, 2), 1e300)), "too large ones"),
    (lambda path: torch.save(torch.full((1, 2), torch.nan), path), "not finite"),
    (lambda path: path.write(b"0.1,0.2\n"), "numpy.save"), (lambda path: path.write(b""), "no array of latents"),
    (lambda path: path.write(b"PK\3\4 and no more"), "latents"),
    (lambda path: path.write(b"\x80\4K\1."), "no file of latents")])
def test_what_is_no_latents_is_explained(tmp_path, write, words):
    stream = io.BytesIO()
    write(stream)
    (tmp_path / "z.npy").write_bytes(stream.getvalue())
    with pytest.raises(ValueError) as error:
        read_latents(tmp_path / "z.npy")
    assert words in str(error.value) and "z.npy" in str(error.value)


def test_a_folder_or_nothing_is_no_file_of_latents(tmp_path):
    for path, words in ((tmp_path, "a folder"), (tmp_path / "none.npy", "not there")):
        with pytest.raises(ValueError, match=words):
            read_latents(path)
