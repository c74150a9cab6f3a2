"""Suites and zoos of anybody's generators, from YAML to tables; and what is said where something is impossible."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers import made_up_responses as made
from helpers.strangers import write_network, write_oracle, write_suite
from helpers.tiny import ROOT, profile

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.suite import load_suite
from dirbench.benchmarks.config.zoo_and_oracles import on_zoo
from dirbench.benchmarks.zoo.zoo import MINI, Zoo, ZooError
from dirbench.errors import Inapplicable
from dirbench.plugins import METRICS

ADA = ROOT / "tests/golden/stylegan2_ada.pt"
BIGGAN = ROOT / "tests/golden/generators/biggan.pt"
NAMES = ("Male", "Smiling", "Bald")


def run(folder, suite, *more, code=0):
    args = ["--suite", str(suite), "--profile", profile(folder), "--out", str(folder / "run"), "--store",
            str(folder / "store"), "--workers", "1", *map(str, more)]
    assert main(args) == code
    return pd.read_csv(folder / "run" / "rows.csv", keep_default_na=False) if not code else None


def test_three_methods_on_a_strangers_generator_from_ten_lines(tmp_path, capsys):
    suite = write_suite(tmp_path, "stranger_scored", "own.safetensors")
    write_oracle(tmp_path, "own", NAMES)
    assert len(suite.read_text().splitlines()) == 10
    rows = run(tmp_path, suite)
    assert set(rows["method"]) == {"random", "sefa", "ganspace"}
    assert set(rows["zoo"]) == {"mine"} and set(rows["oracle"]) == {"own"} and set(rows["reference"]) == {"mine"}
    effect = rows[rows["metric"] == "effect"]
    assert (effect["status"] == "ok").all() and (effect["value"].astype(float) > 0).all()
    assert (tmp_path / "run/sheets/sefa/mine.png").exists()
    assert "Three methods on my own generator" in capsys.readouterr().out


def test_without_an_oracle_directions_are_found_and_drawn(tmp_path, capsys):
    rows = run(tmp_path, write_suite(tmp_path, "stranger_drawn"), "--methods", "sefa,interfacegan")
    assert "nothing is scored" in capsys.readouterr().out
    assert set(rows["status"]) == {"not_applicable"} and set(rows["oracle"]) == {"none"}
    why = rows.groupby("method")["reason"].unique().str.join("|")
    assert "the suite names none" in why["sefa"] and "names no teacher" in why["interfacegan"]
    assert (tmp_path / "run/sheets/sefa/mine.png").exists()
    cells = pd.read_csv(tmp_path / "run/cells.csv")
    assert set(cells["kind"]) == {"discover", "score", "sheet"} and not (cells["status"] == "failed").any()


def test_a_zoo_of_any_kind_and_its_own_oracle(tmp_path):
    write_network(tmp_path, "stranger_zoo")
    write_oracle(tmp_path, "own", NAMES)
    net = {"module": "stranger_zoo:Net", "checkpoint": "net.pt", "latent_dim": 24, "input_shape": [24, 1, 1]}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({
        "zoo": "my", "title": "my zoo", "oracle": "own.safetensors", "gans": {
            "full": {"file": str(ADA), "rates": {"Male": 0.4, "Bald": 0.1}}, "full_b": str(ADA),
            "no_hats": {"generator": net, "rates": {"Male": 0.0, "Bald": 0.1}, "excludes": [["Male", 1]]}}}))
    rows = run(tmp_path, "celeba_subsets", "--zoo", tmp_path / "my.yaml", "--methods", "random,interfacegan",
               "--metrics", "attribute_recovery,alignment,false_alarms")
    assert set(rows["zoo"]) == {"my"} and set(rows["oracle"]) == {"own"}
    assert set(rows[rows["method"] == "interfacegan"]["reason"]) == {
        "interfacegan learns from an attribute oracle, and the suite names no teacher"}
    rows = rows[rows["method"] == "random"].set_index(["metric", "reference", "protocol"])
    assert rows.loc[("attribute_recovery", "full", "greedy"), "status"] == "ok"  # its rates say that Male is missing
    assert rows.loc[("attribute_recovery", "full", "published-greedy"), "status"] == "ok"
    assert rows.loc[("false_alarms", "full", "greedy"), "status"] == "ok"
    unknown = rows.loc[("false_alarms", "no_hats", "published-greedy")]
    assert unknown["status"] == "not_applicable"
    assert "does not say what the data exclude of full (excludes:" in unknown["reason"]
    assert (rows.xs("alignment")["status"] == "ok").all()


@pytest.mark.parametrize("change, words", [
    ({"gans": {"full": str(ADA), "hats": str(ADA)}}, "no_hats, which zoo my does not have (it has full, hats)"),
    ({"oracle": None}, "scorer was trained to read the mini zoo's rendered faces, and zoo my is none of them"),
    ({"gans": {"full": str(BIGGAN), "no_hats": str(ADA)}}, "classes: say which one with settings: {label: N}"),
    ({"gans": {"full": str(ADA), "no_hats": "nowhere.pkl"}}, "nowhere.pkl is missing; restore the file"),
    ({"gans": {"full": str(ADA), "no_hats": {"generator": {"module": "no_such:Net"}}}}, "no_such cannot be imported"),
    ({"gans": {"full": str(ADA), "no_hats": {"file": str(ADA), "sha256": "0" * 64}}}, "is altered"),
    ({"gans": {"full": {}}}, "GAN full: nothing, expected file or generator"),
    ({"gans": {"full": {"file": "a", "rates": {"Male": 40}}}}, "rates: expected a share from 0 to 1"),
    ({"gans": {"full": {"file": "a", "excludes": ["Male"]}}}, "expected pairs [attribute, 0 or 1]")])
def test_what_a_zoo_lacks_is_said_before_the_run(tmp_path, capsys, change, words):
    write_oracle(tmp_path, "own", NAMES)
    manifest = {"zoo": "my", "title": "my zoo", "oracle": "own.safetensors",
                "gans": {"full": str(ADA), "no_hats": str(ADA)}, **change}
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({k: v for k, v in manifest.items() if v is not None}))
    run(tmp_path, "celeba_subsets", "--zoo", tmp_path, "--methods", "random", "--dry-run", code=2)
    assert words in capsys.readouterr().err


def test_the_identity_of_a_gan(tmp_path):
    write_network(tmp_path, "stranger_marks")
    net = {"module": "stranger_marks:Net", "checkpoint": "net.pt", "latent_dim": 24, "input_shape": [24, 1, 1]}

    def marks():
        gans = {"a": {"file": str(BIGGAN), "settings": {"label": 0}},
                "b": {"file": str(BIGGAN), "settings": {"label": 1}}, "c": str(BIGGAN), "net": net,
                "sigmoid": {**net, "output": "sigmoid"}, "untrained": {**net, "checkpoint": None}}
        zoo = Zoo(tmp_path, {"zoo": "x", "title": "x", "gans": gans})
        return {name: zoo.hash(name) for name in zoo.names}

    before = marks()
    assert len(set(before.values())) == len(before)  # one file with another class is another generator
    write_network(tmp_path, "stranger_marks", seed=2)
    after = marks()
    assert {n for n in before if before[n] != after[n]} == {"net", "sigmoid"}
    shutil.copyfile(MINI / "zoo.yaml", tmp_path / "zoo.yaml")
    shutil.copyfile(MINI / "full.safetensors", tmp_path / "full.safetensors")
    assert Zoo(tmp_path).hash("full") == yaml.safe_load((MINI / "zoo.yaml").read_text())["gans"]["full"]["sha256"]


@pytest.mark.parametrize("old, new, words", [
    ("generators:\n  mine:", "zoo: mini\ngenerators:\n  mine:", "zoo: and gans:, or generators:, one of them"),
    ("methods:", "gans: [yours]\nmethods:", 'gans: unknown generator "yours"'),
    ("methods:", "reference: mien\nmethods:", 'unknown GAN "mien". Did you mean "mine"'),
    ("[random, sefa, ganspace]", "[random, xga]", "which need pairs of GANs")])
def test_wrong_suites_are_explained(tmp_path, old, new, words):
    path = write_suite(tmp_path, "stranger_wrong")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match="mine.yaml") as error:
        load_suite(str(path))
    assert words in str(error.value)


def test_shipped_judges_stay_with_the_images_they_know(tmp_path):
    suite = load_suite(str(write_suite(tmp_path, "stranger_judged", "scorer")))
    with pytest.raises(ConfigError, match="the oracle scorer was trained to read the mini zoo's rendered faces"):
        on_zoo(suite)
    assert on_zoo(suite, oracle="none").oracle is None
    usual = load_suite("celeba_subsets")
    assert on_zoo(usual) == usual == on_zoo(usual, zoo="mini")
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({
        "zoo": "drawn", "title": "rendered faces, too", "oracle": "scorer", "gans": {"full": str(ADA)}}))
    moved = on_zoo(usual, zoo=str(tmp_path))
    assert (moved.oracle, moved.teacher) == ("scorer", None)
    with pytest.raises(ConfigError, match="the teacher teacher was trained"):
        on_zoo(usual, zoo=str(tmp_path), teacher="teacher")


@pytest.mark.parametrize("name", [n for n, m in METRICS.load_all()[0].items() if m.needs == "pair"])
def test_metrics_that_read_what_is_missing_are_known(name):
    """Where the data's rates are unknown just these are not applicable."""
    rng, metric = np.random.default_rng(0), METRICS.build(name)
    a, b = (made.responses(rng.normal(size=(6, 5)), seed=s) for s in (1, 2))

    def value(missing):
        try:
            return metric.compute(made.pair(a, b, 3, missing=missing), "greedy", resamples=0).value
        except Inapplicable:
            return None

    values = {value(missing) for missing in ((), (0,), (0, 1, 2, 3, 4))}
    assert (len(values) > 1) == metric.reads_missing


def test_a_broken_manifest_is_no_traceback(tmp_path):
    for text in ("zoo: [", "- a", "zoo: a\ntitle: b\ngans: 3", json.dumps({"zoo": "a"})):
        (tmp_path / "zoo.yaml").write_text(text)
        with pytest.raises(ZooError, match="is no zoo manifest"):
            Zoo(tmp_path)


# -- names, and which GANs a profile chooses -----------------------------------------------------------------
TWO = "suite: mine\ntitle: t\ngenerators:\n{}\nmethods: [random, sefa]\nn_directions: 3\n"


def test_the_same_weights_under_two_names_and_in_two_suites(tmp_path, capsys):
    for suite, names in (("a", ("one", "two")), ("b", ("other",)), ("c", ("two", "one"))):
        path = tmp_path / f"{suite}.yaml"
        path.write_text(TWO.format("\n".join(f"  {name}: {ADA}" for name in names)))
        assert main(["--suite", str(path), "--profile", profile(tmp_path), "--out", str(tmp_path / suite), "--store",
                     str(tmp_path / "store"), "--workers", "1", "--methods", "sefa,xga" if len(names) > 1 else "sefa",
                     ]) == 0
        for name in names:
            assert (tmp_path / suite / f"sheets/sefa/{name}.png").exists()
    assert "one and two are the same generator" in capsys.readouterr().out
    assert len(list((tmp_path / "store/directions").glob("*/1.safetensors"))) == 1  # of the pair, once for all suites


@pytest.mark.parametrize("names, compared", [
    (("full", "birds"), {"full", "birds"}), (("full", "no_hats", "birds"), {"full", "no_hats", "birds"})])
def test_a_profiles_choice_of_gans_stays_with_its_zoo(tmp_path, capsys, names, compared):
    (tmp_path / "s.yaml").write_text(TWO.format("\n".join(f"  {name}: {ADA}" for name in names)))
    rows = run(tmp_path, tmp_path / "s.yaml", "--methods", "sefa")
    assert set(rows["reference"]) == compared
    out = capsys.readouterr().out
    assert "tiny chooses full and no_hats of zoo mini; here all GANs of the suite are compared" in out


def test_a_choice_of_ones_own_names_what_it_leaves_out(tmp_path, capsys):
    (tmp_path / "s.yaml").write_text(TWO.format(f"  full: {ADA}\n  birds: {ADA}"))
    path = profile(tmp_path)
    text = (tmp_path / "tiny.yaml").read_text().replace("gans: [full, no_hats]", "zoo: mine\ngans: [birds]")
    (tmp_path / "own.yaml").write_text(text)
    assert path and main(["--suite", str(tmp_path / "s.yaml"), "--profile", str(tmp_path / "own.yaml"), "--store",
                          str(tmp_path / "store"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "left out by profile tiny, which compares birds: full" in out and "1 GANs" in out


def test_names_that_a_profile_leaves_out_are_checked(tmp_path, capsys):
    (tmp_path / "s.yaml").write_text("suite: mine\ntitle: t\nzoo: mini\noracle: scorer\n"
                                     "gans: [full, no_hats, birdz]\nmethods: [random]\n")
    run(tmp_path, tmp_path / "s.yaml", "--dry-run", code=2)
    assert "compares birdz, which zoo mini does not have" in capsys.readouterr().err


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["a network of one's own", "a family"])
def test_weights_that_are_not_finite_stop_the_run_before_it_starts(tmp_path, capsys, value, kind):
    if kind == "a family":
        state = torch.load(ADA, weights_only=True)["state_dict"]
        state["synthesis.b8.conv1.weight"][0, 0, 0, 0] = value
        torch.save({"g_ema": state}, tmp_path / "bad.pt")
        (tmp_path / "mine.yaml").write_text(TWO.format("  full: bad.pt"))
    else:
        write_suite(tmp_path, f"stranger_{value!s}")
        state = torch.load(tmp_path / "net.pt", weights_only=True)
        state["body.1.weight"][0, 0, 0, 0] = value
        torch.save(state, tmp_path / "net.pt")
    run(tmp_path, tmp_path / "mine.yaml", code=2)
    assert "finite" in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize("entry, words", [
    ({"file": "a", "label": 3}, 'unknown key "label"'), ({"file": "a", "sha265": "x"}, 'Did you mean "sha256"'),
    ({"file": "a", "checkpoint": "b"}, "mean the same"), ({"file": 3}, "expected a path"),
    ({"file": "a", "sha256": "z" * 64}, "64 hex digits"), ({"file": "a", "rates": {"Male": True}}, "Male has True"),
    ({"file": "a", "rates": {"Male": "42%"}}, "Male has '42%'"), ({"file": "a", "family": 2}, "family: 2"),
    (["a"], "expected a file, or keys and values")], ids=str)
def test_entries_of_a_manifest_are_checked_whole(tmp_path, entry, words):
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({"zoo": "z", "title": "t", "gans": {"full": entry}}))
    with pytest.raises(ZooError, match=r"zoo\.yaml:\d+ is no zoo manifest: GAN full: ") as error:
        Zoo(tmp_path)
    assert words in str(error.value)
