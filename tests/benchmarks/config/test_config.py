"""Suites and profiles: what is wrong is said with file, line, key, value and the nearest valid name."""

import helpers
import pytest

from dirbench.benchmarks.config import suite as config
from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.suite import load_profile, load_suite

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
        load_suite(str(helpers.GOLDEN / "not_a_suite.yaml"))


@pytest.mark.parametrize("old, new, line, words", [
    ("methods:\n- random", "methods: []\nx:\n- random", 12, ["methods: is empty; name at least one"]),
    ("metrics: [alignment]", "metrics:", 16, ["metrics: is empty", "or leave the key out for the default"]),
    ("gans: [full, no_hats]", "gans: []", 7, ["gans: is empty"]),
    ("gans: [full, no_hats]", "gans: [full, full]", 7, ['the GAN "full" is there twice']),
    ("gans: [full, no_hats]", "gans: full", 7, ["expected a list, such as [one, two]; got 'full'"]),
    ("gans: [full, no_hats]", "gans: [1, 2]", 7, ["expected a text (in quotes, if it looks like a number); got 1"]),
    ("metrics: [alignment]", "metrics: [effect, effect]", 16, ['the metric "effect" is there twice']),
    ("alpha: 3.0", "alpha: .inf", 9, ["alpha", "finite", "inf"]),
    ("alpha: 3.0", "alpha: .nan", 9, ["alpha", "finite", "nan"]),
    ("alpha: 3.0", "alpha: 0", 9, ["alpha", "greater than 0"]),
    ("n_common: 2", "n_common: 5", 11, ["n_common: 5 of n_directions: 4 cannot be common"]),
    ("metrics: [alignment]", "seeds: [0]", 16, ['"seeds" belongs to the profile', "--profile", "--seeds"]),
    ("metrics: [alignment]", "chance: {runs: 3}", 16, ['"chance" belongs to the profile']),
    ("metrics: [alignment]", "normalize_rows: true", 16, ['"normalize_rows" is a setting of methods', "- sefa: {"]),
    ("- random", "- {name: sefa, layers: [0]}", 13, ['"layers" is a setting of sefa', "params: {layers: ...}"]),
    ("- random", "- {sefa: {layers: [0]}, variant: x}", 13, ['"sefa" is a method\'s name: write {name: sefa']),
    ("- random", "- 3", 13, ["methods.0: expected keys and values; got 3"]),
    ("zoo: mini\n", "", 1, ["say where the generators are: zoo: and gans:, or generators:"]),
    ("zoo: mini", "generators: [a.pt, b.pt]", 4, ["generators: expected keys and values; got ['a.pt', 'b.pt']"]),
    ("metrics: [alignment]", "controls: [[full]]", 16, ["controls: ['full'], expected pairs of GANs"]),
    ("- random", "- [sefa]", 13, ["methods.0: expected keys and values"]),
    ("- random", "- latentclr: {n_steps: 0}", 13, ["n_steps: 0, expected a whole number from 1"]),
    ("- random", "- ganspace: {n_samples: 0}", 13, ["n_samples: 0"]),
    ("- random", "- random: {n_directions: 0}", 13, ["n_directions: 0"]),
    ("- random", "- latentclr: {lr: .nan}", 13, ["lr: nan, expected a finite number"]),
    ("title: a tiny suite", "suite: again", 3, ['"suite" is there twice, first in line 1']),
], ids=lambda value: str(value)[:30].replace("\n", " "))
def test_other_mistakes_of_a_suite(tmp_path, old, new, line, words):
    assert old in SUITE
    with pytest.raises(ConfigError) as error:
        load_suite(write(tmp_path, SUITE.replace(old, new)))
    first = str(error.value).splitlines()[0]
    assert f"tiny.yaml:{line}: " in first
    for word in words:
        assert word in first, first


@pytest.mark.parametrize("old, new, words", [
    ("seeds: [0]", "seeds: []", "seeds: is empty"), ("seeds: [0]", "seeds: [0, 0]", "0 is there twice"),
    ("seeds: [0]", "seeds: [4294967296]", "less than 4294967296"), ("seeds: [0]", "seeds: [-1]", "greater than"),
    ("{match: 16, score: 16}", "{match: 1, score: 16}", "latents.match"),
    ("{match: 16, score: 16}", "{match: 16, score: 1}", "latents.score"), ("chunk: 128", "chunk: 0", "chunk"),
    ("pairs: reference", "alpha: 1.0", '"alpha" belongs to the suite, not to the profile'),
    ("pairs: reference", "pairs: none", "pairs")])
def test_mistakes_of_a_profile(tmp_path, old, new, words):
    text = (config.PROFILES / "smoke.yaml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(ConfigError, match=r"tiny\.yaml:\d+: ") as error:
        load_profile(write(tmp_path, text.replace(old, new)))
    assert words in str(error.value)


@pytest.mark.parametrize("name, words", [
    ("celeba_subsets.yaml", 'called by its name alone, "celeba_subsets"'), ("./notes.txt", "file of another name"),
    (".", "unknown suite"), ("../tiny", "unknown suite"), ("x/celeba_subsets", "A file of your own ends with .yaml")])
def test_what_is_no_suite(tmp_path, monkeypatch, name, words):
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        load_suite(name)
    assert words in str(error.value)


def test_none_enabled_is_refused(tmp_path):
    text = SUITE.split("methods:")[0] + "methods:\n- {name: sefa, enabled: false}\nmetrics: [effect]\n"
    with pytest.raises(ConfigError, match="none is enabled; set enabled: true for one of sefa"):
        load_suite(write(tmp_path, text))


def test_a_profiles_per_step_is_no_more_than_there_are_directions(tmp_path):
    from dirbench.benchmarks.config.job import Job
    text = SUITE.replace("- random", "- xga\n- {name: xga, variant: own, params: {n_directions: 3, n_common: 1, "
                         "per_step: 2}}")
    suite = load_suite(write(tmp_path, text))
    made = Job(suite, load_profile("smoke"), "cpu", "unused")
    usual, own = (made.method(entry) for entry in suite.methods[:2])
    assert (usual.n_directions, usual.per_step) == (4, 4) and (own.n_directions, own.per_step) == (3, 2)


def test_groups_stand_in_a_list_too(tmp_path):
    text = SUITE.split("methods:")[0] + "methods: [core, voynov]\nmetrics: [alignment]\n"
    labels = [entry.label for entry in load_suite(write(tmp_path, text)).methods]
    assert labels[0] == "random" and labels[-1] == "voynov" and "sefa" in labels


def test_the_line_of_a_method_after_a_group_is_its_own(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("suite: s\ntitle: t\nzoo: mini\ngans: [full]\noracle: scorer\nmethods:\n"
                    "  - core\n  - {name: sefa, variant: b}\n  - {name: sefa, variant: c, bad: 3}\n")
    with pytest.raises(ConfigError, match=r"s\.yaml:9: .*bad"):
        load_suite(str(path))
