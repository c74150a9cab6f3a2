"""The audit: across families and resolutions without an oracle, on the mini zoo with one, and what it concludes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import helpers
import numpy as np
import pytest
import torch
from helpers.made_up_responses import responses
from helpers.planted import PlantedExtractor, PlantedGenerator, PlantedOracle
from PIL import Image

from dirbench.benchmarks.audit import finding
from dirbench.benchmarks.audit.finding import View
from dirbench.benchmarks.audit.folder import audit_folder
from dirbench.benchmarks.audit.inputs import Subject, default_control, find_oracle, find_subject
from dirbench.benchmarks.audit.reading import Reader
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.zoo.zoo import MINI
from dirbench.methods.xga import XGA
from dirbench.plugins import EXTRACTORS

GOLDEN = helpers.GOLDEN / "generators"
ADA = str(GOLDEN / "stylegan2_ada_network.pkl")
PROFILE = """\
profile: tiny
title: a handful of latents, to test the audit
pairs: reference
seeds: [0]
latents: {match: 6, score: 6}
chunk: 16
chance: {runs: 2}
ratio: {pool: 12, steps: 3, batch: 8}
bootstrap: 5
extractor: {input_size: 32}
methods:
  xga: {n_directions: 4, n_common: 2, n_steps: 3, per_step: 4, batch: 2, alpha: 20.0, lr: 0.05}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    (folder / "tiny.yaml").write_text(PROFILE)
    # another family, latent size and resolution, fed with z and with classes
    (folder / "pggan.yaml").write_text(
        f"checkpoint: {(GOLDEN / 'genforce_pggan_fused_label.pt').resolve()}\nlabel: 1\n")
    return folder


def run(place: Path, out: str, *args: str) -> int:
    return main(["audit", *args, "--profile", str(place / "tiny.yaml"), "--store", str(place / "store"), "--out",
                 str(place / out), "--device", "cpu"])


def read(place: Path, out: str) -> tuple[dict, str]:
    return (json.loads((place / out / "audit.json").read_text(encoding="utf-8")),
            (place / out / "audit.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def across(place):
    assert run(place, "across", ADA, str(place / "pggan.yaml")) == 0
    return read(place, "across")


@pytest.fixture(scope="module")
def mini(place):
    assert run(place, "mini", "mini:full", "mini:no_hats", "--steps", "2") == 0
    return read(place, "mini")


# -- end to end ------------------------------------------------------------------------------------------------
def test_across_families_resolutions_and_spaces(across):
    result, page = across
    sides = [(g["family"], g["resolution"], g["space"], g["latent"]) for g in (result["reference"], result["client"])]
    assert sides == [("stylegan2", 32, "w", {"z": 32, "w": 32}), ("pggan", 16, "z", {"z": 20})]
    assert result["evidence"] == "features" and not result["oracle"]["used"] and result["control"] is None
    assert "**No suitable oracle, so no attributes**" in page and "strengths, and so effect sizes, are not" in page
    assert "Not measured: no two generators of the same data were at hand" in page
    assert all(not one["attributes"] and "called" not in one for one in result["missing"] + result["novel"])


def test_every_direction_is_called_something_or_counted_as_doing_nothing(across, mini):
    for result, page in (across, mini):
        dead = result["unmeasurable"][result["evidence"]]
        for kind in ("common", "missing", "novel"):
            assert len(result[kind]) + len(dead[kind]) == dead[f"of_{kind}"] == 2
            assert not {one["direction"] for one in result[kind]} & set(dead[kind])
            assert f"{len(result[kind])} of 2 {kind}" in page


def test_with_an_oracle_and_a_control(mini, place):
    result, page = mini
    assert result["evidence"] == "attributes" and result["oracle"]["name"] == "scorer"
    assert result["title"] == "mini zoo (rendered faces)" and "mini zoo (rendered faces)" in page
    assert result["control"]["pair"] == ["mini:full", "mini:full_b"]
    false = len(result["control"]["missing"]) + len(result["control"]["novel"])
    assert f"The same procedure called {false} of 4 directions so: a rate of {false / 4:.2f}" in page
    assert result["data"] == {"missing": ["Wearing_Hat"], "novel": []}
    assert result["common"] + result["missing"] + result["novel"], "too few steps to find anything; raise alpha"
    for one in result["missing"] + result["novel"]:
        assert one["attributes"][0]["name"] == one["called"] and f"| {one['called']} | {one['effect']:.2f}" in page
        assert {"effect", "reliability"} <= set(one["features"]) and one["stands_out"] in (True, False, None)
        assert 0 <= one["share_reference"] <= 1
    for kind, file in result["pictures"].items():
        rows = len(result[kind]) * (2 if kind == "common" else 1)  # common: both generators under each other
        assert Image.open(place / "mini" / file).height > rows * 96 and f"]({file})" in page
    assert set(result["pictures"]) == {kind for kind in ("common", "missing", "novel") if result[kind]}


def test_every_number_says_what_made_it(mini, across):
    result, page = mini
    for gan in ("full", "no_hats", "full_b"):
        assert find_subject(f"mini:{gan}").files[f"{gan}.safetensors"] in page
    made = result["made"]
    assert (result["method"]["steps"], result["method"]["published_steps"]) == (2, 10_000)
    assert "xga, 2 of 10,000 published steps" in page and f"torch {made['versions']['torch']}" in page
    assert result["oracle"]["sha256"] in page and result["extractor"]["fingerprint"][:16] in page
    assert find_subject(ADA).files["stylegan2_ada_network.pkl"] in across[1]
    scores = {(row["score"], row["of"]) for row in result["chance"]["attributes"]["scores"]}
    assert ("attributes called missing", "reference") in scores and ("attributes called novel", "client") in scores
    assert all("chance" in row for row in result["chance"]["features"]["scores"])


def test_what_is_made_is_not_made_again(place, mini, monkeypatch):
    def never(*args):
        raise AssertionError("trained again")

    monkeypatch.setattr(XGA, "discover_pair", never)
    assert run(place, "again", "mini:full", "mini:no_hats", "--steps", "2") == 0
    again, _ = read(place, "again")
    drop = ("made",)
    assert {k: v for k, v in again.items() if k not in drop} == {k: v for k, v in mini[0].items() if k not in drop}


def test_gans_of_a_zoo_named_by_their_files_have_its_control(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    two = [find_subject(str(MINI / f"{gan}.safetensors")) for gan in ("full", "no_hats")]
    assert default_control(*two) == ("mini:full", "mini:full_b")


# -- mistakes ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("args, words", [
    (["nowhere.pkl", ADA], "no generator nowhere.pkl: there is no such file"),
    (["mini:ful", "mini:full"], 'unknown GAN "ful". Did you mean "full"?'),
    (["mini:full", "mini:no_hats", "--oracle", "scorrer"], 'unknown oracle "scorrer". Did you mean "scorer"?'),
    (["mini:full", "mini:no_hats", "--features", "efficientnet_lite"], "unknown extractor"),
    (["mini:full", "mini:no_hats", "--features", "clip_resnet50"], "the parameter weights is missing"),
    (["mini:full", "mini:full"], "are the same generator"),
    (["mini:full", "mini:male", "--control", "mini:full", "mini:full"], "a control is two generators"),
    (["mini:full", "mini:male", "--steps", "0"], "--steps 0: expected a whole number from 1"),
    ([ADA, str(GOLDEN / "hostile_os_system.pkl")], "hostile_os_system.pkl"),
    ([ADA, str(GOLDEN / "biggan.pt")], "has 10 classes, and an audit needs one"),
], ids=lambda value: " ".join(Path(v).name for v in value[-2:]) if isinstance(value, list) else "")
def test_a_mistake_is_a_sentence(place, args, words, capsys):
    assert run(place, "wrong", *args) == 2
    out, err = capsys.readouterr()
    assert words in err and "Traceback" not in out + err, err


def test_a_place_that_cannot_be_written_to_is_found_before_anything_is_made(place, capsys):
    (place / "file").write_text("in the way")
    assert run(place, "file", "mini:full", "mini:no_hats", "--steps", "7") == 2
    assert "choose another folder with --out" in capsys.readouterr().err


# -- inputs -----------------------------------------------------------------------------------------------------
def test_a_file_of_the_mini_zoo_is_that_zoos_gan(tmp_path):
    own = find_subject("mini:male")
    copy = tmp_path / "renamed.safetensors"
    copy.write_bytes((Path("benchmarks/zoo/mini") / "male.safetensors").read_bytes())
    found = find_subject(str(copy))
    assert (found.name, found.hash, found.zoo, found.title) == ("male", own.hash, "mini", own.title)


def test_names_follow_content_so_that_artifacts_survive_a_new_name(tmp_path):
    copy = tmp_path / "other.pkl"
    copy.write_bytes(Path(ADA).read_bytes())
    assert find_subject(str(copy)).name == find_subject(ADA).name != find_subject("mini:full").name


def test_code_of_ones_own_is_taken_by_its_name():
    found = find_subject("helpers.planted:PlantedGenerator")
    assert isinstance(found.generator, PlantedGenerator) and not found.files and found.name == found.hash[:16]


def test_the_control_is_the_zoos_own_same_data_pair():
    full, female, ada = (find_subject(name) for name in ("mini:full", "mini:female", ADA))
    assert default_control(full, female) == ("mini:full", "mini:full_b")
    assert default_control(full, ada) is None and default_control(ada, ada) is None


def subject(zoo: str = "", resolution: int = 32) -> Subject:
    return Subject("mine", "x", "x", "x", SimpleNamespace(resolution=resolution), zoo=zoo)


@pytest.mark.parametrize("asked, subjects, words", [
    ("none", [subject("mini")], "none was wanted"),
    (None, [subject("mini"), subject()], "none was named"),
    ("scorer", [subject("mini"), subject()], "trained to read the mini zoo's rendered faces, and mine is not of it"),
    ("scorer", [subject("mini"), subject("mini", 16)], "reads images of 32 pixels, and those of mine have 16"),
])
def test_an_oracle_that_does_not_fit_is_left_out_with_a_reason(asked, subjects, words):
    chosen = find_oracle(asked, subjects)
    assert chosen.oracle is None and words in chosen.reason


def test_an_oracle_that_fits_is_used():
    assert find_oracle(None, [subject("mini"), subject("mini", 64)]).name == "scorer"
    assert find_oracle("teacher", [subject("mini")]).oracle is not None


@pytest.mark.numeric
def test_the_reader_keeps_logits_and_angles_of_features():
    generator, extractor = PlantedGenerator(), EXTRACTORS.build("efficientnet_lite0", input_size=32)
    oracle = PlantedOracle(generator.factors)
    reader = Reader(oracle, extractor)
    images = generator.synthesize(generator.sample(24, torch.Generator().manual_seed(0)))
    read = reader.logits(images)
    assert torch.equal(read[:, ~reader.is_feature], oracle.logits(images).float())
    features = torch.nn.functional.normalize(extractor.features(images), dim=1)
    changes = [x - x.mean(0) for x in (features, read[:, reader.is_feature])]
    whole, short = (torch.nn.functional.normalize(x, dim=1) @ torch.nn.functional.normalize(x, dim=1).T
                    for x in changes)
    assert (whole - short).abs().mean() < 0.1 and read.shape[1] == len(reader.names) == len(reader.readable)
    assert Reader(None, PlantedExtractor()).fingerprint() != reader.fingerprint()


# -- findings ---------------------------------------------------------------------------------------------------
NAMES = tuple(f"a{i}" for i in range(8))
NOISE = 0.02  # means of 200 stay far below what is visible: what does nothing is never called live by luck


def effects(**of: dict[int, float]) -> np.ndarray:
    out = np.zeros((5, len(NAMES)))
    for k, change in of.items():
        for attribute, size in change.items():
            out[int(k[1:]), attribute] = size
    return out


@pytest.fixture(scope="module")
def view() -> View:
    """Common: 0 (a0), 1 (a1, the client's reversed), 2 dead in the client. Missing: a5. Novel: 4 is dead, 3 is a6."""
    reference = effects(k0={0: 2}, k1={1: 2}, k2={2: 2}, k3={5: 3}, k4={0: 2, 7: 0.5})
    client = effects(k0={0: 2, 3: 0.5}, k1={1: -2}, k3={6: -3})
    made = [responses(e, n=200, noise=NOISE, seed=i) for i, e in enumerate((reference, client))]
    return View(*made, NAMES, True, 100, 3)


@pytest.mark.numeric
def test_common_pairs_are_those_that_do_something_in_both(view):
    found = finding.common(view, beyond=0.5)
    assert [(one["direction"], one["called"], one["sign"]) for one in found] == [(0, "a0", 1), (1, "a1", -1)]
    assert all(one["cosine"] > 0.9 and one["beyond_chance"] for one in found)
    top = found[1]["client"]["attributes"][0]
    assert top["name"] == "a1" and top["plus"] < -1 and top["minus"] > 1


@pytest.mark.numeric
def test_missing_and_novel_are_called_after_what_they_change(view):
    missing, novel = finding.unique(view, True), finding.unique(view, False)
    assert [(one["direction"], one["called"]) for one in missing] == [(3, "a5"), (4, "a0")]
    assert [(one["direction"], one["called"]) for one in novel] == [(3, "a6")]
    real, false = missing
    assert real["nearest"]["cosine"] < 0.5 and real["other_size"] < 0.5 < real["size"]
    assert false["nearest"]["cosine"] > 0.8 and (false["other_direction"], false["nearest"]["direction"]) == (0, 0)
    assert finding.stands_out(real, {"nearest": [0.6]}) and finding.stands_out(false, {"nearest": [0.6]}) is False
    assert finding.stands_out(real, None) is None


def test_directions_that_do_nothing_are_counted_and_called_nothing(view):
    dead = finding.unmeasurable(view)
    assert (dead["common"], dead["missing"], dead["novel"]) == ([2], [], [4])
    assert dead["client"] == [2, 4] and dead["reference"] == []


@pytest.mark.numeric
def test_between_generators_that_do_the_same_everything_called_is_counted_as_false():
    same = effects(k0={0: 2}, k1={1: 2}, k2={2: 2}, k3={5: 3}, k4={5: 3})
    twins = View(*(responses(same, n=200, noise=NOISE, seed=i) for i in range(2)), NAMES, True, 100, 3)
    false = finding.false_positives(twins)
    assert false["called"] == {"missing": ["a5"], "novel": ["a5"]} and false["rate_of_directions"] == 1
    assert false["rate_of_attributes"] == 2 / 16 and min(false["nearest"]) > 0.9
    still = View(*(responses(0 * same, n=200, noise=NOISE, seed=i) for i in range(2)), NAMES, True, 100, 3)
    assert finding.false_positives(still)["rate_of_directions"] == 0


@pytest.mark.numeric
def test_random_pairs_are_under_the_level_of_chance_and_planted_ones_over_it(view):
    rng = np.random.default_rng(0)
    banks = tuple([responses(rng.normal(size=(5, len(NAMES))), n=200, seed=10 * g + r) for r in range(3)]
                  for g in range(2))
    level = finding.beyond_chance(view, banks)
    assert 0.3 < level < 0.95
    rows = {(row["score"], row["of"]): row for row in finding.scores(view, banks, 5)}
    called = rows["attributes called missing", "reference"]
    assert called["value"] == 2 and 0 <= called["chance_low"] <= called["chance"] <= called["chance_high"]
    assert rows["directions without measurable effect", "client"]["value"] == 2


# -- the folder ----------------------------------------------------------------------------------------------
def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() if path.is_file() else "" for path in folder.rglob("*")}


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
@pytest.mark.parametrize("before", [None, {}, {"audit.json": "old", "audit.md": "old", "common.png": "old"}],
                         ids=["new", "empty", "of an earlier audit"])
def test_an_audit_that_fails_leaves_its_folder_as_it_was(tmp_path, before, failure):
    out = tmp_path / "deep" / "er" / "audit" if before is None else tmp_path / "audit"
    for name, text in (before or {}).items():
        out.mkdir(exist_ok=True)
        (out / name).write_text(text)
    if before == {}:
        out.mkdir()
    was = tree(tmp_path)
    with pytest.raises(type(failure)), audit_folder(out, ("audit.json", "common.png")) as folder:
        (folder / "common.png").write_text("half")
        raise failure
    assert tree(tmp_path) == was


def test_an_audit_takes_the_place_of_an_earlier_one(tmp_path):
    for round_, names in enumerate((("audit.json", "common.png", "novel.png"), ("audit.json", "common.png"))):
        with audit_folder(tmp_path / "a", ("audit.json", "common.png", "novel.png")) as folder:
            for name in names:
                (folder / name).write_text(str(round_))
        assert tree(tmp_path / "a") == dict.fromkeys(names, str(round_))
        (tmp_path / "a" / "my notes.txt").write_text(str(round_ + 1))  # and leaves alone what is not its own
        (tmp_path / "a" / "my notes.txt").unlink()


def test_other_peoples_folders_are_left_alone(place, tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "common.png").write_text("mine")
    assert run(place, str(tmp_path / "thesis"), "mini:full", "mini:no_hats") == 2
    assert "is no audit's folder" in capsys.readouterr().err and tree(tmp_path / "thesis") == {"common.png": "mine"}
    assert run(place, str(tmp_path / "new" / "one"), "mini:full", "nowhere.pt") == 2
    assert not (tmp_path / "new").exists()
