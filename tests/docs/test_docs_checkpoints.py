"""docs/checkpoints.md: each of its commands is run, in its order, on tiny files of the names that it uses."""

import re
import shlex
import shutil
from functools import partial

import numpy as np
import pytest
import yaml
from helpers.image_data import idx_bytes, put, put_ramps, write_celeba
from helpers.strangers import write_network, write_oracle
from helpers.tiny import ROOT, profile
from helpers.together import TINY

from dirbench.benchmarks.commands._main import main
from dirbench.benchmarks.data.attributes import CELEBA_ATTRIBUTES
from dirbench.benchmarks.training import data_zoo, sngan
from dirbench.benchmarks.zoo.zoo import Zoo

PAGE = (ROOT / "docs/checkpoints.md").read_text(encoding="utf-8")
GOLDEN = ROOT / "tests/golden"
FILES = {"network.pkl": "generators/stylegan2_ada_network.pkl", "client.pkl": "stylegan2_rosinality.pt",
         "rosinality.pt": "stylegan2_rosinality.pt", "biggan.pth": "generators/biggan.pt"}
COMMANDS = [line.split("run_bench.py", 1)[1].strip() for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S)
            for line in block.splitlines()]
SMALLER = {  # what makes a command quick, and nothing else
    "--suite": ["--profile", "tiny.yaml", "--workers", "1"], "audit": ["--profile", "tiny.yaml", "--steps", "1"],
    "train-oracle": ["--epochs", "1"], "train-zoo": ["--images", "16"], "zoo": ["--samples", "8"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with everything that the page's reader has."""
    folder = tmp_path_factory.mktemp("reader")
    for name, file in FILES.items():
        shutil.copyfile(GOLDEN / file, folder / name)
    for name, text in re.findall(r"`(\w+\.yaml)`[^`]*:\n\n```yaml\n(.*?)```", PAGE, re.S):
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
    profile(folder)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(command, place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("DIRBENCH_STORE", str(place / "store"))
    monkeypatch.setattr(data_zoo, "celeba_config", lambda resolution, device: TINY)
    monkeypatch.setattr(data_zoo, "RESOLUTIONS", (16,))
    monkeypatch.setattr(sngan, "SnConfig", partial(sngan.SnConfig, widths=(8,) * 4, d_width=8, batch=16))
    words = shlex.split(command.replace("--resolution 64", "--resolution 16").replace("celeba64", "celeba16"))
    kind = words[0]
    if kind in ("--suite", "audit"):
        words += ["--out", str(place / "out" / str(abs(hash(command)))), "--device", "cpu"]
    if kind == "train-oracle":
        words[words.index("oracles")] = "trained-oracles"
        words += ["--network", "small"]
    code = main([*words, *SMALLER.get(kind, [])])
    assert code == 0 or (kind == "zoo" and code == 1)  # GANs of 16 images are not fit, and the report says so


def test_the_zoo_of_the_page_loads(place):
    zoo = Zoo(place)
    for name in zoo.names:
        zoo.check(name)
    assert zoo.excludes("no_hats") == (("Wearing_Hat", 1),)
    assert zoo.oracle == str(place / "oracles/resnet50.safetensors")


def test_every_kind_of_user_has_three_commands():
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        assert len(re.findall(r"^python run_bench\.py", section, re.M)) >= 3, section.splitlines()[0]


def test_its_suites_are_ten_lines():
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S):
        if "suite" in yaml.safe_load(text):
            assert len(text.splitlines()) <= 10
