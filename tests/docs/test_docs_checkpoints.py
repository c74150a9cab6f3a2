"""docs/checkpoints.md: its YAML is short, its zoo loads, and every kind of user has three commands.

That its commands run is tested with those of all pages (``test_commands.py``).
"""

import re

import yaml
from helpers.pages import blocks, text_of
from helpers.reader import of_checkpoints

from dirbench.benchmarks.zoo.zoo import Zoo

PAGE = text_of("checkpoints.md")


def test_the_zoo_of_the_page_loads(tmp_path):
    of_checkpoints(tmp_path)
    zoo = Zoo(tmp_path)
    for name in zoo.names:
        zoo.check(name)
    assert zoo.excludes("no_hats") == (("Wearing_Hat", 1),)
    assert zoo.oracle == str(tmp_path / "oracles/resnet50.safetensors")


def test_every_kind_of_user_has_three_commands():
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        assert len(re.findall(r"^python run_bench\.py", section, re.M)) >= 3, section.splitlines()[0]


def test_its_suites_are_ten_lines():
    for text in blocks(PAGE, "yaml"):
        if "suite" in yaml.safe_load(text):
            assert len(text.splitlines()) <= 10
