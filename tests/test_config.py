"""Suites and profiles: what is wrong is said with file, line, key, value and the nearest valid name."""

import pytest

from benchmarks import config
from benchmarks.config import ConfigError, load_profile, load_suite

SUITE = """\
suite: tiny
version: 1
title: a tiny suite
zoo: mini
oracle: scorer
extractor: efficientnet_lite0
gans: [full, no_hats]
reference: full
alpha: 3.0
n_directions: 4
n_common: 2
methods:
- random
- sefa: {layers: [0, 1]}
- {name: sefa, variant: raw, params: {normalize_rows: false}}
metrics: [alignment]
"""


def write(tmp_path, text):
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    return str(path)


def test_every_shipped_file_loads():
    for name in config.names(config.SUITES):
        assert load_suite(name).suite == name
    for name in config.names(config.PROFILES):
        assert load_profile(name).profile == name


def test_short_forms_of_a_method(tmp_path):
    methods = load_suite(write(tmp_path, SUITE)).methods
    assert [m.label for m in methods] == ["random", "sefa", "sefa[raw]"]
    assert methods[1].params == {"layers": [0, 1]}


def test_core_is_every_core_method_floor_first(tmp_path):
    text = SUITE.split("methods:")[0] + "methods: core\nmetrics: [alignment]\n"
    names = [m.name for m in load_suite(write(tmp_path, text)).methods]
    assert names[0] == "random" and names[-1] == "interfacegan" and "sefa" in names


@pytest.mark.parametrize("old, new, line, words", [
    ("alpha: 3.0", "alpha: three", 9, ["alpha", "valid number", "'three'"]),
    ("alpha: 3.0", "alpha: -1.0", 9, ["alpha", "greater than 0", "-1.0"]),
    ("version: 1", "version: '1'", 2, ["version", "valid integer", "'1'"]),
    ("gans: [", "gams: [", 7, ['unknown key "gams". Did you mean "gans"?']),
    ("- random", "- randon", 13, ['unknown method "randon". Did you mean "random"?']),
    ("{layers: [0, 1]}", "{layer: 0}", 14, ['unknown hyperparameter "layer". Did you mean "layers"?']),
    ("params: {", "parms: {", 15, ['unknown key "parms". Did you mean "params"?']),
    ("normalize_rows: false", "normalize_rows: maybe", 15, ["normalize_rows", "maybe"]),
    ("metrics: [alignment]", "metrics: [alinment]", 16, ['unknown metric "alinment". Did you mean "alignment"?']),
    ("title: a tiny suite\n", "", 1, ["title", "missing"]),
    ("gans: [full, no_hats]", "gans: [full, no_hats", 8, ["not valid YAML"]),
], ids=lambda value: str(value)[:30])
def test_a_mistake_is_named_with_its_place(tmp_path, old, new, line, words):
    assert old in SUITE
    with pytest.raises(ConfigError) as error:
        load_suite(write(tmp_path, SUITE.replace(old, new)))
    message = str(error.value)
    assert f"tiny.yaml:{line}: " in message
    for word in words:
        assert word in message, message


def test_unknown_names():
    with pytest.raises(ConfigError, match='unknown suite "celeba_subset". Did you mean "celeba_subsets"'):
        load_suite("celeba_subset")
    with pytest.raises(ConfigError, match='unknown profile "smok". Did you mean "smoke"'):
        load_profile("smok")
    with pytest.raises(ConfigError, match=r"nowhere/x\.yaml does not exist"):
        load_suite("nowhere/x.yaml")
    with pytest.raises(ConfigError, match="expected keys and values"):
        load_suite(__file__.replace("test_config.py", "golden/not_a_suite.yaml"))
