"""The paper's own setting plans on a stand-in zoo, oracle and extractor; the commands in its comments parse."""

import re
import shlex

import pytest
import yaml
from helpers import tiny_extractors
from helpers.strangers import write_oracle
from helpers.tiny import ROOT

from dirbench.benchmarks.commands import main, parser
from dirbench.benchmarks.config.suite import SUITES, load_suite
from dirbench.benchmarks.data.attributes import CELEBA_ATTRIBUTES

PATH = SUITES / "celeba_subsets_paper.yaml"


@pytest.fixture
def stand_in(tmp_path):
    """The suite with tiny features, and the arguments that bring a zoo and its oracles along."""
    suite = yaml.safe_load(PATH.read_text())
    name = suite["extractor"]["name"]
    suite["extractor"] = {"name": name, **tiny_extractors.save(name, tmp_path / "features")}
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(suite))
    file = str(ROOT / "tests/golden/stylegan2_ada.pt")  # with settings of its own each is another GAN
    gans = {gan: {"file": file, "settings": {"clamp": 100.0 + i}} for i, gan in enumerate([*suite["gans"], "full_b"])}
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({"zoo": "celeba256", "title": "stand-in", "gans": gans}))
    oracles = [write_oracle(tmp_path, name, CELEBA_ATTRIBUTES, seed=i) for i, name in enumerate(("scores", "teaches"))]
    return ["--suite", str(tmp_path / "paper.yaml"), "--zoo", str(tmp_path), "--oracle", str(oracles[0]), "--teacher",
            str(oracles[1]), "--store", str(tmp_path / "store"), "--dry-run", "--profile"]


def test_it_plans_on_a_stand_in(stand_in, capsys):
    assert main([*stand_in, "paper"]) == 0
    out = capsys.readouterr().out
    assert "8 GANs, controls full/full_b; seeds 0, 1, 2" in out and "40 of 40 attributes readable" in out
    assert "xga (10,000 of 10,000 steps)" in out
    per_pair = 10_000 * 2 * 2 * 17
    images = int(re.search(r"images: ([\d,]+) to", out).group(1).replace(",", ""))
    assert per_pair == 680_000 and images > 3 * (28 + 1) * per_pair, "what the comments say"


def test_it_is_the_published_setting():
    ours, mini = load_suite("celeba_subsets_paper"), load_suite("celeba_subsets")
    for key in ("gans", "controls", "reference", "alpha", "n_directions", "n_common", "metrics", "methods"):
        assert getattr(ours, key) == getattr(mini, key), key


def test_without_the_files_it_says_what_is_missing(tmp_path, capsys):
    assert main(["--suite", "celeba_subsets_paper", "--store", str(tmp_path), "--dry-run"]) == 2
    assert "no zoo '.training/zoo_celeba256'" in capsys.readouterr().err


def test_the_commands_in_its_comments_parse():
    text = PATH.read_text().replace(" \\\n#  ", "")
    commands = re.findall(r"run_bench\.py (.+)", text)
    assert len(commands) == 6
    for command in commands:
        words = shlex.split(command)
        assert parser().parse_args(words if words[0][0] != "-" else ["run", *words]).function
