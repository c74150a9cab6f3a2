"""Every shipped suite: it parses, its entries build, it plans; and what an entry's own settings come to."""

import pytest
import yaml

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.config import suite as config
from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.job import Job
from dirbench.benchmarks.config.suite import Entry, Suite, load_profile, load_suite
from dirbench.plugins import EXTRACTORS, METHODS

SUITES = config.names(config.SUITES)
PROFILES = config.names(config.PROFILES)
BASE = """\
suite: tiny
version: 1
title: a tiny suite
zoo: mini
oracle: scorer
extractor: efficientnet_lite0
gans: [full, no_hats, female]
controls: [[full, full_b]]
reference: full
alpha: 3.0
n_directions: 4
n_common: 2
methods: [random, xga]
metrics: [alignment]
"""


def entries(name: str) -> list[Entry]:
    """All of a suite's entries, those that are not enabled too."""
    return config._load(Suite, config.SUITES / f"{name}.yaml").methods


def suite(tmp_path, *changes: tuple[str, str]) -> Suite:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    return load_suite(str(path))


def job(suite: Suite, profile: str = "smoke") -> Job:
    return Job(suite, load_profile(profile), "cpu", "unused")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", SUITES)
def test_every_entry_builds_under_every_profile(name, profile):
    made = job(load_suite(name), profile)
    for entry in entries(name):
        method = made.method(entry)
        assert method.name == entry.name and method.n_directions == made.suite.n_directions
        EXTRACTORS.check(made.extractor(entry).name, made.extractor(entry).params)
        for key, value in entry.params.items():
            assert getattr(method, key) == value


@pytest.mark.parametrize("name", [name for name in SUITES if load_suite(name).zoo == "mini"])
def test_every_suite_of_the_mini_zoo_plans(name, tmp_path, capsys):
    assert main(["--suite", name, "--profile", "smoke", "--store", str(tmp_path), "--dry-run", "--offline"]) == 0
    out = capsys.readouterr().out
    assert all(entry.label in out for entry in load_suite(name).methods) and "to synthesise" in out


@pytest.mark.parametrize("name", SUITES)
def test_no_two_entries_do_the_same_thing(name):
    made = job(load_suite(name), "paper")
    done = [(made.method(e), made.extractor(e).key) for e in entries(name)]
    assert len(done) == len(set(done))


def test_the_ablation_of_density_ratios_has_table_3s_settings():
    found = {(m.ratio_loss, float(m.unique_weight)) for m in
             (METHODS.build(e.name, e.params) for e in entries("xga_dre_ablation") if e.name == "xga")}
    assert {(loss, weight) for loss in ("kliep", "log") for weight in (0.1, 0.2, 0.5, 1.0, 5.0)} <= found
    assert ("kliep", 0.0) in found  # without the ratios, whatever they would be trained with


def test_the_feature_ablation_has_the_papers_extractors_once_weights_are_there():
    for name in ("xga", "xga-single"):
        found = {e.extractor.name if e.extractor else "suite's" for e in entries("xga_feature_ablation")
                 if e.name == name}
        assert found == {"suite's", "vit", "mae_vit", "clip_vit", "resnet50", "clip_resnet50", "advbn_resnet50"}
    assert all(e.extractor is None for e in load_suite("xga_feature_ablation").methods)


@pytest.mark.parametrize("name", ["xga_dre_ablation", "xga_feature_ablation"])
def test_ablations_keep_to_the_seven_pairs_with_full(name):
    made = job(load_suite(name), "paper")  # the profile would have all pairs
    assert made.pairs == "reference"
    assert made.ordered_pairs() == made.trained_pairs() == [("full", g) for g in made.gans[1:]] + [("full", "full_b")]
    assert len(made.gans) == 8


# -- what an entry may say -----------------------------------------------------------------------------------
def test_two_entries_of_one_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r'tiny.yaml:13: methods: 2 entries are called "xga"; give each a variant'):
        suite(tmp_path, ("[random, xga]", "[random, xga, xga: {alpha: 1.0}]"))
    suite(tmp_path, ("[random, xga]", "[random, xga, {name: xga, variant: weak, params: {alpha: 1.0}}]"))


def test_a_variant_can_be_a_file_name(tmp_path):
    with pytest.raises(ConfigError, match=r"tiny.yaml:13: methods.1.variant: .*'a/b'"):
        suite(tmp_path, ("[random, xga]", "[random, {name: xga, variant: a/b}]"))


def test_an_extractor_of_ones_own(tmp_path):
    own = suite(tmp_path, ("[random, xga]", "[random, xga, {name: xga, variant: big, extractor: "
                           "{name: efficientnet_lite0, input_size: 96}}]"))
    made = job(own)
    usual, big = (made.extractor(e) for e in own.methods[1:])
    assert usual == made.extractor() and usual.params == {"input_size": 64}  # the profile's size
    assert big.params == {"input_size": 96} and big.key != usual.key


@pytest.mark.parametrize("entry, words", [
    ("{name: xga, extractor: efficientnet}", 'unknown extractor "efficientnet". Did you mean "efficientnet_lite0"?'),
    ("{name: xga, extractor: {name: efficientnet_lite0, size: 96}}", 'unknown parameter "size"'),
    ("{name: xga, extractor: {name: efficientnet_lite0, input_size: big}}", "input_size"),
    ("{name: sefa, extractor: efficientnet_lite0}", "sefa has an extractor of its own, but sefa uses none")])
def test_a_wrong_extractor_is_named_with_its_place(tmp_path, entry, words):
    with pytest.raises(ConfigError) as error:
        suite(tmp_path, ("[random, xga]", f"[random, {entry}]"))
    assert "tiny.yaml:13: " in str(error.value) and words in str(error.value)


def test_a_disabled_entry_is_checked_and_left_out(tmp_path):
    off = "{name: xga, variant: spare, enabled: false, params: {alpha: 1.0}}"
    assert [e.label for e in suite(tmp_path, ("[random, xga]", f"[random, {off}]")).methods] == ["random"]
    with pytest.raises(ConfigError, match='unknown hyperparameter "alpa"'):
        suite(tmp_path, ("[random, xga]", f"[random, {off}]".replace("alpha", "alpa")))


def test_pairs_of_a_suite(tmp_path):
    usual = job(suite(tmp_path))
    assert len(usual.ordered_pairs()) == 2 + 1 - 1  # smoke: two GANs, no controls among them
    seven = job(suite(tmp_path, ("reference: full", "reference: full\npairs: reference")), "paper")
    assert seven.ordered_pairs() == seven.trained_pairs() == [("full", "no_hats"), ("full", "female"),
                                                             ("full", "full_b")]
    none = job(suite(tmp_path, ("reference: full", "reference: full\npairs: none"), ("[random, xga]", "[random]"),
                     ("[alignment]", "[entropy]")), "paper")
    assert none.ordered_pairs() == none.trained_pairs() == [] and none.all_gans == ["full", "no_hats", "female"]
    with pytest.raises(ConfigError, match="pairs: none leaves nothing to do for alignment, xga, which need pairs"):
        suite(tmp_path, ("reference: full", "reference: full\npairs: none"))


def test_every_suite_says_where_its_table_comes_from():
    for name in SUITES:
        text = (config.SUITES / f"{name}.yaml").read_text()
        assert text.startswith("# ") and yaml.safe_load(text)["suite"] == name
        assert "table" in text.split("suite:")[0]
