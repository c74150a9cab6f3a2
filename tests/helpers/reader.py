"""What a reader of a page has before the first command: small stand-ins for checkpoints and data."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.data.attributes import CELEBA_ATTRIBUTES
from dirbench.benchmarks.training import data_zoo
from helpers import GOLDEN
from helpers.image_data import idx_bytes, put, put_ramps, write_celeba
from helpers.pages import text_of
from helpers.strangers import write_network, write_oracle
from helpers.tiny import profile
from helpers.under_torchrun import TINY

FILES = {"network.pkl": "generators/stylegan2_ada_network.pkl", "client.pkl": "stylegan2_rosinality.pt",
         "rosinality.pt": "stylegan2_rosinality.pt", "biggan.pth": "generators/biggan.pt"}


def of_checkpoints(folder: Path) -> None:
    """Checkpoints of four kinds, a network, CelebA, images with labels, MNIST, an oracle, a zoo, and
    the page's YAML files."""
    page = text_of("checkpoints.md")
    for name, file in FILES.items():
        shutil.copyfile(GOLDEN / file, folder / name)
    for name, text in re.findall(r"`(\w+\.yaml)`[^`]*:\n\n```yaml\n(.*?)```", page, re.S):
        (folder / name).write_text(text)
    assert {path.name for path in folder.glob("*.yaml")} == {"several.yaml", "my.yaml", "mine.yaml", "zoo.yaml"}
    write_network(folder, "mynet")
    np.save(folder / "z.npy", np.random.default_rng(0).normal(size=(4, 32)).astype(np.float32))
    write_celeba(folder / "celeba", 500, mix="decorrelated")  # some of each subset in the test part
    names = [f"a/{i:03}.png" for i in range(64)]
    put_ramps(folder / "images", names)
    put(folder / "labels.csv", "file,Smiling\n" + "".join(f"{name},{i // 2 % 2}\n" for i, name in enumerate(names)))
    for kind, array in (("images-idx3", np.zeros((64, 28, 28))), ("labels-idx1", np.arange(64) % 10)):
        put(folder / "MNIST/raw" / f"train-{kind}-ubyte", idx_bytes(array))
    (folder / "oracles").mkdir()
    write_oracle(folder / "oracles", "resnet50", CELEBA_ATTRIBUTES)  # stands in for an hour of training
    small_zoo(folder / "celeba", folder / "trained")
    profile(folder)


def small_zoo(data: Path, out: Path) -> None:
    """What ``train-zoo celeba --resolution 64`` leaves in ``out``, of GANs of 16 pixels: nine of 64 take gigabytes."""
    with patch.object(data_zoo, "celeba_config", lambda resolution, device: TINY), \
            patch.object(data_zoo, "RESOLUTIONS", (16,)):
        assert main(["train-zoo", "celeba", "--data", str(data), "--resolution", "16", "--images", "16",
                     "--out", str(out), "--cache", str(out / "cache")]) == 0
    (out / "zoo_celeba16").rename(out / "zoo_celeba64")


READERS: dict[str, Callable[[Path], None]] = {"docs/checkpoints.md": of_checkpoints}
"""{page: what puts the files into a folder}; readers of other pages need none."""
