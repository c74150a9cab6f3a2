"""The regression check: planted losses are found in the right direction, noise is not, and gaps are named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import made_up
from helpers.tiny import ROOT

from dirbench.results.check import BadReference, check, made_by, read_reference, reference_from_rows, write_reference
from dirbench.results.rows import validate
from dirbench.results.settings import read_settings, settings_of

GANS = ("full", "female", "no_hats", "no_glasses")
METHODS = ("random", "sefa", "latentclr")
SHIPPED = sorted((ROOT / "dirbench/results/reference").glob("*.csv"))


@pytest.fixture(scope="module")
def good():
    return made_up.rows(seeds=(0, 1, 2), gans=GANS, methods=METHODS)


@pytest.fixture(scope="module")
def reference(good):
    return reference_from_rows(good, deterministic={"sefa"})


def changed(rows, by, **where):
    """Copies of rows with ``by`` added to the values where columns equal ``where``."""
    out = rows.copy()
    mask = out["status"] == "ok"
    for column, value in where.items():
        mask &= out[column] == value
    assert mask.any()
    for column in ("value", "ci_low", "ci_high"):
        out.loc[mask, column] += by
    return out


def failing(rows, reference, **options):
    return [f for f in check(rows, reference, made_up.METRICS, **options) if f.fails]


def test_the_same_rows_have_nothing_to_report(good, reference):
    assert check(good, reference, made_up.METRICS, other_machine=False) == []


def test_the_reference_has_the_means_and_spreads_of_hand_computed_rows(good, reference):
    line = reference[(reference["metric"] == "alignment") & (reference["protocol"] == "greedy")
                     & (reference["method"] == "random")].iloc[0]
    own = good[(good["metric"] == "alignment") & (good["protocol"] == "greedy") & (good["method"] == "random")
               & (good["client"] != "full_b")]
    by_seed = [own.loc[own["seed"] == s, "value"].mean() for s in (0, 1, 2)]
    assert line["mean"] == pytest.approx(np.mean(by_seed))
    assert line["seed_sd"] == pytest.approx(np.std(by_seed, ddof=1))
    assert line["half"] == pytest.approx(0.03) and line["ok"] == 18 and line["seeds"] == "0 1 2"


@pytest.mark.parametrize(("metric", "worse"), [("alignment", -0.5), ("off_target_recovery", 0.5)])
def test_a_planted_loss_is_found_by_the_metrics_own_direction(good, reference, metric, worse):
    where = {"metric": metric, "method": "random", "protocol": "greedy"}
    found = failing(changed(good, worse, **where), reference)
    assert [f.kind for f in found] == ["regression"]
    assert found[0].sentence.startswith(f"random, {metric} (greedy): ") and "worse" in found[0].sentence
    better = check(changed(good, -worse, **where), reference, made_up.METRICS)
    assert [(f.kind, f.fails) for f in better] == [("improvement", False)]


def test_noise_within_the_tolerance_is_no_finding(good, reference):
    line = reference[(reference["metric"] == "alignment") & (reference["protocol"] == "greedy")
                     & (reference["method"] == "random")].iloc[0]
    allowed = max(3 * line["seed_sd"], line["half"], 0.03)
    where = {"metric": "alignment", "method": "random", "protocol": "greedy"}
    assert check(changed(good, -0.99 * allowed, **where), reference, made_up.METRICS) == []
    assert [f.kind for f in failing(changed(good, -1.01 * allowed, **where), reference)] == ["regression"]


def test_false_alarms_are_rare_even_where_every_score_is_drawn_anew_and_a_real_loss_is_found(good):
    """Runs whose scores share nothing with the reference's but their distribution: the worst that another processor can
    do to a chaotic training. The tolerance is 3 spreads over seeds, no less than the median method's, or more where the
    metric's floor or the interval over latents is: at most one score in a thousand is called a loss."""
    rng = np.random.default_rng(0)
    base = good[(good["method"] != "sefa") & ~good["protocol"].str.startswith("published")]

    def redrawn() -> pd.DataFrame:
        return base.assign(value=base["value"] + rng.normal(0, 0.05, len(base)))

    reference = reference_from_rows(redrawn())
    alarms = [len(failing(redrawn(), reference)) for _ in range(20)]
    assert sum(alarms) <= 0.001 * 20 * (reference["ok"] > 0).sum()
    for metric, worse in (("alignment", -0.15), ("off_target_recovery", 0.15), ("s_disen", -0.15)):
        found = failing(changed(redrawn(), worse, metric=metric, method="latentclr"), reference)
        assert found and all(f.sentence.startswith(f"latentclr, {metric}") for f in found)


def test_a_spread_that_is_small_by_luck_is_not_believed(good):
    rows = good[good["metric"] == "alignment"].copy()
    own = (rows["method"] == "random") & (rows["protocol"] == "greedy")
    rows.loc[own, "value"] = rows[own].groupby(["reference", "client"])["value"].transform("mean")
    rows["ci_low"] = rows["ci_high"] = rows["value"]
    rows.loc[rows["method"] != "random", "value"] += 0.2 * rows["seed"].astype(float)  # theirs is 0.2
    reference = reference_from_rows(rows)
    assert failing(changed(rows, -0.5, method="random", protocol="greedy"), reference) == []
    found = failing(changed(rows, -0.7, method="random", protocol="greedy"), reference)
    assert [f.kind for f in found] == ["regression"] and "3 times the spread over seeds" in found[0].sentence


def test_a_reference_of_one_seed_is_compared_with_that_seed_only(good):
    one = good[good["seed"] == 0]
    reference = reference_from_rows(one, {"sefa"})
    where = {"metric": "alignment", "method": "latentclr", "protocol": "greedy"}
    assert check(changed(one, -0.02, **where), reference, made_up.METRICS) == []  # half an interval is 0.03
    (found,) = failing(changed(one, -0.04, **where), reference)
    assert found.kind == "regression" and "half the interval over latents" in found.sentence
    (found,) = failing(changed(good[good["seed"] == 1], -0.5, **where), reference)
    assert found.kind == "context" and "seed 1 in the run, seed 0 in the reference" in found.sentence


def test_a_closed_form_is_held_to_rounding(good, reference):
    where = {"metric": "alignment", "method": "sefa", "protocol": "greedy"}
    assert failing(changed(good, -5e-4, **where), reference) == []
    assert [f.kind for f in failing(changed(good, -2e-3, **where), reference)] == ["regression"]
    on_the_spot = failing(changed(good, -5e-4, **where), reference, other_machine=False)
    assert [f.kind for f in on_the_spot] == ["regression"] and "closed form" in on_the_spot[0].sentence


@pytest.mark.parametrize("seed", range(3))
def test_what_another_processor_rounds_is_no_finding(good, reference, seed):
    """Every score moved by up to 5e-4 of its size, which is more than kernels of other widths do to closed forms."""
    rows, ok = good.copy(), good["status"] == "ok"
    size = good.loc[ok, "value"].abs().clip(lower=1)
    rows.loc[ok, "value"] += 5e-4 * size * np.random.default_rng(seed).uniform(-1, 1, ok.sum())
    assert check(rows, reference, made_up.METRICS) == []
    assert {f.kind for f in failing(rows, reference, other_machine=False)} == {"regression"}  # here it would be one


def test_a_method_that_is_gone_is_one_finding(good, reference):
    found = failing(good[good["method"] != "latentclr"], reference)
    assert [f.kind for f in found] == ["missing"] and found[0].sentence.startswith("latentclr is in the reference")


def test_a_metric_that_is_gone_is_named_for_each_method(good, reference):
    found = failing(good[(good["metric"] != "s_disen") | (good["method"] != "sefa")], reference)
    assert {f.kind for f in found} == {"missing"}
    assert {f.sentence.split(":")[0] for f in found} == {"sefa, s_disen (headline)", "sefa, s_disen (published)"}


def test_a_new_failure_is_found_with_its_reason(good, reference):
    rows = good.copy()
    mask = (rows["method"] == "random") & (rows["metric"] == "effect") & (rows["reference"] == "female")
    rows.loc[mask, ["value", "ci_low", "ci_high"]] = np.nan
    rows.loc[mask, "status"], rows.loc[mask, "reason"] = "failed", "out of memory at image 64"
    found = failing(validate(rows), reference)
    assert [f.kind for f in found] == ["failure"] and "out of memory at image 64" in found[0].sentence
    # latentclr's failure on full/no_hats is in the reference already, and stays unmentioned.
    assert not any("latentclr" in f.sentence for f in found)


def test_a_cell_that_no_longer_fails_is_good_news(good, reference):
    rows = good.copy()
    mask = (rows["method"] == "latentclr") & (rows["status"] == "failed")
    rows.loc[mask, ["value", "ci_low", "ci_high"]] = 0.5
    rows.loc[mask, "status"], rows.loc[mask, "reason"] = "ok", ""
    found = check(validate(rows), reference, made_up.METRICS)
    assert found and all((f.kind, f.fails) == ("improvement", False) and "latentclr" in f.sentence for f in found)


def test_other_cells_are_not_compared(good, reference):
    found = failing(good[(good["client"] != "no_glasses") | (good["metric"] != "alignment")], reference)
    assert {f.kind for f in found} == {"coverage"} and all("alignment" in f.sentence for f in found)


def test_a_run_of_one_seed_is_compared_with_a_reference_of_three(good, reference):
    one = good[good["seed"] == 0]
    gap = next(line for line in reference_from_rows(one).itertuples()
               if (line.method, line.metric, line.protocol) == ("sefa", "alignment", "greedy"))
    assert gap.mean != pytest.approx(reference.set_index(["method", "metric", "protocol"])["mean"][
        "sefa", "alignment", "greedy"], abs=1e-3)  # other latents: not to be held to rounding
    assert failing(one, reference) == []
    assert [f.kind for f in failing(changed(one, -0.5, metric="alignment", method="sefa", protocol="greedy"),
                                    reference)] == ["regression"]
    part = one[(one["client"] != "no_glasses") | (one["metric"] != "alignment")]
    assert {f.kind for f in failing(part, reference)} == {"coverage"}


def test_control_pairs_are_compared_apart_from_clients():
    rows = made_up.rows(seeds=(0, 1, 2), gans=(*GANS, "full_b"), methods=METHODS).replace("full_b", "twin")
    controls = (("full", "twin"),)
    reference = reference_from_rows(rows, {"sefa"}, controls)
    assert set(reference["part"]) == {"clients", "control"}
    assert check(rows, reference, made_up.METRICS, controls) == []
    where = {"metric": "off_target_recovery", "method": "random", "protocol": "greedy", "client": "twin"}
    for by, part in ((changed(rows, 0.5, **where), ", control pairs"),
                     (changed(rows, 0.5, **where | {"client": "female"}), "")):
        (found,) = failing(by, reference, controls=controls)
        assert found.kind == "regression" and f"off_target_recovery (greedy{part}): " in found.sentence
    gone = failing(rows[rows["client"] != "twin"].query("reference != 'twin'"), reference, controls=controls)
    assert [f.sentence.split(" is in")[0] for f in gone] == [f"{m} on control pairs" for m in sorted(METHODS)]
    old = reference[reference["part"] == "clients"]
    (note,) = check(rows, old, made_up.METRICS, controls)
    assert not note.fails and "no control pairs" in note.sentence


def test_variants_of_a_method_are_told_apart(good, reference):
    fast = good.assign(variant=np.where(good["method"] == "sefa", "fast", ""))
    both = validate(pd.concat([good, fast[fast["method"] == "sefa"]], ignore_index=True))
    (new,) = check(both, reference, made_up.METRICS)
    assert not new.fails and new.sentence.startswith("sefa[fast]: ")
    (found,) = failing(fast, reference)
    assert found.kind == "missing" and found.sentence.startswith("sefa is in the reference")
    assert "there are rows of sefa[fast]" in found.sentence
    of_both = reference_from_rows(both, {"sefa"})
    where = {"metric": "alignment", "method": "sefa", "variant": "fast", "protocol": "greedy"}
    (found,) = failing(changed(both, -0.5, **where), of_both)
    assert found.sentence.startswith("sefa[fast], alignment (greedy)")


def test_another_extractor_is_said_once_and_the_method_is_not_compared(good, reference):
    other = good.assign(extractor=np.where(good["method"] == "sefa", "clip_vit", good["extractor"]))
    (found,) = check(changed(other, -0.5, method="sefa"), reference, made_up.METRICS)
    assert found.kind == "context" and found.sentence.startswith("sefa: extractor is clip_vit, none in the reference")


MADE_BY = {"readable_attributes": 39, "alpha": 3.0, "reference": "full", "pairs": "reference",
           "extractor": "efficientnet_lite0", "methods": {"sefa": {"n_directions": 16, "layers": "all"}, "random": {}},
           "profile_settings": {"latents": {"match": 16, "score": 16}, "ratio": {"pool": 64}, "bootstrap": 50},
           "hashes": {"gans": {"full": "ab" * 32, "male": "cd" * 32}, "oracle": "ef" * 32}}


@pytest.mark.parametrize(("change", "words"), [
    ({"alpha": 1.0}, "alpha is 1.0, 3.0 in the reference"),
    ({"readable_attributes": 12}, "attributes is 12, 39 in"),
    ({"pairs": "all"}, "pairs is all, reference in"), ({"reference": "male"}, "reference is male, full in"),
    ({"extractor": "vit"}, "extractor is vit, efficientnet_lite0 in"),
    ({"profile_settings": {"latents": {"match": 16, "score": 64}}}, "latents.score is 64, 16 in"),
    ({"hashes": {"gans": {"full": "00" * 32}}}, "weights of full is 000000000000, abababababab in"),
    ({"hashes": {"oracle": "00" * 32}}, "weights of the oracle is 0000")])
def test_other_settings_of_a_run_are_named_and_nothing_is_compared(good, reference, change, words):
    then, now = settings_of(MADE_BY), settings_of(MADE_BY | change)
    found = check(changed(good, -0.5, metric="alignment"), reference, made_up.METRICS, settings=now,
                  reference_settings=then)
    assert [f.kind for f in found] == ["context"] and words in found[0].sentence and found[0].fails


def test_other_parameters_of_a_method_leave_the_others_comparable(good, reference):
    now = settings_of(MADE_BY | {"methods": {"sefa": {"n_directions": 8, "layers": "all"}, "random": {}}})
    rows = changed(changed(good, -0.5, metric="alignment", method="sefa"), -0.5, metric="alignment", method="random")
    found = failing(rows, reference, settings=now, reference_settings=settings_of(MADE_BY))
    assert {f.sentence.split(",")[0].split(":")[0] for f in found} == {"sefa", "random"}
    assert [f.sentence for f in found if f.kind == "context"] == [
        "sefa: n_directions is 8, 16 in the reference. Such numbers cannot be compared; make a reference with these "
        "settings if the change is meant."]


@pytest.mark.parametrize("change", [
    {"profile_settings": MADE_BY["profile_settings"] | {"bootstrap": 5}}, {"hashes": {}}, {"suite": "anything"},
    {"methods": {"sefa": {"n_directions": 16, "layers": "all", "a_new_one": True}, "another": {}}}])
def test_what_moves_no_mean_or_is_not_known_to_differ_is_no_finding(good, reference, change):
    now = settings_of(MADE_BY | change)
    assert check(good, reference, made_up.METRICS, settings=now, reference_settings=settings_of(MADE_BY)) == []


def test_unknown_settings_and_other_seeds_are_said(good, reference):
    (note,) = check(good, reference, made_up.METRICS, settings=settings_of(MADE_BY))
    assert (note.kind, note.fails) == ("settings", False) and "was not checked" in note.sentence
    (note,) = check(good[good["seed"] == 0], reference, made_up.METRICS)
    assert (note.kind, note.fails) == ("seeds", False)
    assert note.sentence.startswith("seed 0 in the run, seeds 0, 1, 2 in the reference, for ")


@pytest.mark.parametrize(("field", "value"), [("version", 2), ("profile", "paper"), ("zoo", "mini-2"),
                                              ("oracle", "other")])
def test_other_settings_are_a_finding_and_nothing_is_compared(good, reference, field, value):
    rows = changed(good, -0.5, metric="alignment").assign(**{field: value})
    rows["version"] = rows["version"].astype("Int64")
    found = failing(rows, reference)
    assert [f.kind for f in found] == ["context"]
    assert f"{field} is {value}, {good[field].iloc[0]} in the reference" in found[0].sentence


def test_a_new_method_is_noted_only(good, reference):
    more = made_up.rows(seeds=(0, 1, 2), gans=GANS, methods=(*METHODS, "ganspace"))
    found = check(more, reference, made_up.METRICS)
    assert [(f.kind, f.fails) for f in found] == [("new", False)] and found[0].sentence.startswith("ganspace")


def test_the_reference_file_keeps_every_digit(tmp_path, good, reference):
    path = write_reference(reference, tmp_path / "reference.csv")
    assert check(good, read_reference(path), made_up.METRICS, other_machine=False) == []
    back = read_reference(path)
    assert back["mean"].tolist() == reference["mean"].tolist()
    assert back["deterministic"].tolist() == reference["deterministic"].tolist()


def test_what_made_a_reference_is_in_it_and_decides_nothing(tmp_path, good):
    facts = {"commit": "abc", "torch": "2.13.0", "device": "cuda", "alpha": "3"}
    back = read_reference(write_reference(reference_from_rows(good, provenance=facts), tmp_path / "reference.csv"))
    assert made_by(back) == "commit abc, torch 2.13.0, device cuda"
    assert check(good, back, made_up.METRICS, other_machine=False) == []


def damage(text: str, column: str, value: str) -> str:
    """A reference's text with ``value`` in ``column`` of its third line."""
    lines = text.splitlines()
    fields = lines[2].split(",")
    fields[lines[0].split(",").index(column)] = value
    return "\n".join([*lines[:2], ",".join(fields), *lines[3:]]) + "\n"


@pytest.mark.parametrize(("damaged", "words"), [
    (lambda text: "a,b\n1,2\n", "x.csv: not a reference file of this version: lacks"),
    (lambda text: "", "the file is empty"), (lambda text: text.splitlines()[0] + "\n", "without lines"),
    (lambda text: text.replace(",", ";"), "with semicolons"),
    (lambda text: text[:len(text) // 2].rsplit(",", 3)[0], r"x.csv:\d+: \d+ fields, expected 22"),
    (lambda text: text + text.splitlines()[-1] + "\n", r"x.csv:\d+: the same method, metric, protocol and part"),
    (lambda text: text.replace("\n", ",1\n").replace("part,", "part,", 1), "has also '1'"),
    (lambda text: damage(text, "mean", "0,5".replace(",", "x")), r"x.csv:3: column 'mean' holds '0x5', expected a num"),
    (lambda text: damage(text, "ok", "-1"), "x.csv:3: column 'ok' holds '-1'"),
    (lambda text: damage(text, "ok", "1.5"), "column 'ok' holds '1.5', expected a whole number"),
    (lambda text: damage(text, "seeds", ""), "column 'seeds' holds ''"),
    (lambda text: damage(text, "part", "all"), "expected clients or control"),
    (lambda text: damage(text, "deterministic", "1"), "expected True or False"),
    (lambda text: damage(text, "version", "two"), "column 'version' holds 'two'"),
    (lambda text: text.encode("utf-16"), "no UTF-8 text")])
def test_a_file_that_is_no_reference_is_refused_with_its_line(tmp_path, reference, damaged, words):
    text = damaged(write_reference(reference, tmp_path / "x.csv").read_text())
    (tmp_path / "x.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadReference, match=words):
        read_reference(tmp_path / "x.csv")


def test_where_no_reference_is_the_way_to_one_is_named(tmp_path):
    for path, words in ((tmp_path / "y.csv", "no reference file there"), (tmp_path, "a folder, not a reference file")):
        with pytest.raises(BadReference, match=f"{words}; make one .*--write"):
            read_reference(path)


def test_a_reference_from_before_control_pairs_is_read_as_clients(tmp_path, good, reference):
    path = tmp_path / "old.csv"
    reference[reference["part"] == "clients"].drop(columns="part").to_csv(path, index=False)
    assert check(good, read_reference(path), made_up.METRICS, controls=()) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_stored_reference_has_settings_of_its_own_methods(path):
    reference, settings = read_reference(path), read_settings(path)
    labels = {f"{line.method}[{line.variant}]" if line.variant else line.method for line in reference.itertuples()}
    assert settings is not None and set(settings["methods"]) == labels
    assert {"alpha", "attributes", "pairs", "weights of full", "weights of the oracle"} <= set(settings["run"])


@pytest.mark.parametrize(("text", "words"), [
    ("{", r"x.json:1: not readable as JSON"), ("[]", "no settings of a reference"),
    ('{"run": {}, "methods": {"sefa": 3}}', "no settings of a reference"), ("", "not readable as JSON")])
def test_damaged_settings_are_refused(tmp_path, text, words):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_settings(tmp_path / "x.csv")
    assert read_settings(tmp_path / "y.csv") is None
