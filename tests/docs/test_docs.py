"""The pages in ``docs/`` say what the code does: defaults, profiles, figures and links are read and compared."""

import csv
import dataclasses
import itertools
import re

import numpy as np
import pytest
import yaml
from helpers.pages import DOCS, code, sections, table
from helpers.quoted import figures, rounds
from helpers.tiny import ROOT

from dirbench.plugins import METHODS

PAGE, COMPARED = ((DOCS / name).read_text(encoding="utf-8") for name in ("methods.md", "what-was-compared.md"))
INVENTORY = (ROOT / "tests/golden/README.md").read_text(encoding="utf-8")
GOLDEN = ROOT / "tests/golden"


SECTIONS = {tuple(re.findall(r"`([^`]+)`", heading)): text for heading, text in sections(PAGE).items()}
SECTIONS.pop((), None)
DOCUMENTED = {name: text for names, text in SECTIONS.items() for name in names}


def test_every_method_has_a_section():
    assert set(DOCUMENTED) == set(METHODS.load_all()[0])


@pytest.mark.parametrize("name", DOCUMENTED)
def test_stated_defaults_are_the_codes(name):
    """Every hyperparameter is in the table, and the column `here` begins with its default."""
    method = METHODS.build(name)
    rows = {code(row["parameter"]): row["here"] for row in table(DOCUMENTED[name])}
    rows = {key: here for key, here in rows.items()
            if not re.search(r"\(`(.+)`\)", here) or re.search(r"\(`(.+)`\)", here).group(1) == name}
    assert set(rows) == {field.name for field in dataclasses.fields(method)}
    for key, here in rows.items():
        stated = yaml.safe_load(code(here))
        default = getattr(method, key)
        assert stated == (list(default) if isinstance(default, tuple) else default), f"{key}: {here}"


def test_profiles_are_as_stated():
    stated = {code(row["method"]): yaml.safe_load("{" + code(row["mini"]) + "}")
              for row in table(sections(PAGE)["Sizes in the profiles"])}
    profiles = {name: yaml.safe_load((ROOT / f"dirbench/benchmarks/profiles/{name}.yaml").read_text(encoding="utf-8"))
                for name in ("mini", "paper")}
    assert stated == profiles["mini"]["methods"]
    assert not profiles["paper"].get("methods")


def test_every_golden_array_file_is_matched_by_a_test_that_reads_it():
    rows = {code(row["file"]): re.findall(r"`(test_\w+\.py)::(\w+)`", row["tests"]) for row in table(INVENTORY)}
    assert set(rows) == {path.name for path in GOLDEN.glob("*.npz")}
    for file, tests in rows.items():
        assert tests, file
        for script, test in tests:
            (path,) = (ROOT / "tests").rglob(script)
            text = path.read_text(encoding="utf-8")
            assert re.search(rf"def {test}\(", text), f"{script} has no {test}"
            assert file.removesuffix(".npz") in text, f"{script} never opens {file}"


# -- figures in what-was-compared.md ----------------------------------------------------------------------
def golden(name: str) -> dict[str, list | float]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key].tolist() for key in file.files}


def quoted(*words: str) -> list[float]:
    """Numbers in the one table row of the page whose first cell has all ``words``."""
    (row,) = [line for line in COMPARED.splitlines() if line.startswith("|")
              and all(word in line.split("|")[1] for word in words)]
    return [float(n) for n in re.findall(r"(?<![\w.])-?\d+\.\d+", row.split("|", 2)[2])]


def test_quoted_golden_numbers():
    loop, dre, base, metrics = golden("xga_loss"), golden("xga_dre"), golden("xga_base"), golden("xga_metrics")
    feat = golden("contrafeat_eval")
    close = {"rel": 0, "abs": 6e-4}
    assert quoted("Loss of iterations") == pytest.approx(
        [*loop["loop_released_total_loss"], *loop["loop_corrected_total_loss"]], **close)
    assert quoted("temperature 0.5", "0.1") == pytest.approx(
        [loop["loss_ow0.1"], loop["loss_ow0.1_temp2"]], **close)
    assert quoted("Log-loss") == pytest.approx([dre["bce_released_loss"], dre["bce_textbook_loss"]], **close)
    assert quoted("Loss of \"Hessian\"") == pytest.approx([base["base_hessian_loss"]], **close)
    assert quoted("Loss of \"Jacobian\"") == pytest.approx([base["base_jacobian_loss"]], **close)
    bound = metrics["entropy_when_m_attributes_change_by_one_m0to40"]
    assert quoted("Entropy, m attributes") == pytest.approx([min(bound), max(bound)], **close)
    assert quoted("Entropy when 1") == pytest.approx([bound[1], bound[14]], **close)
    cosines = metrics["greedy_cosines_in_order"]
    assert quoted("Greedy alignment") == pytest.approx(
        [cosines[0], cosines[11], cosines[15], metrics["greedy_alignment_mean_cosine_per_cutoff"][2]], **close)
    assert quoted("S_disen") == pytest.approx([feat["eval_S_disen_24"], feat["paper_S_disen_24_all_rows"]], **close)
    assert base["base_voynov_labels_used_by_release"] == [1, 2, 3, 1, 2, 3]
    assert base["base_voynov_labels_matching_row_order"] == [1, 1, 2, 2, 3, 3]


def test_quoted_means_of_published_tables():
    with open(ROOT / "dirbench/results/published/xga_pairwise.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["reference"] != row["client"] and row["value"]]

    def mean(name: str, method: str) -> float:
        values = [float(r["value"]) for r in rows if r["table"] == name and r["method"] == method
                  and not (name == "missing_pairwise" and r["client"] == "full")]
        return float(np.mean(values))

    columns = {"alignment: table 5, 7 pairs": "table5", "alignment: all 28 pairs": "alignment_pairwise",
               "recovery: table 4, 7 pairs": "table4", "recovery: all 49 pairs": "missing_pairwise"}
    found = table(sections(COMPARED)["What the published tables say"])
    assert len(found) == 8
    for row, (title, name) in itertools.product(found, columns.items()):
        assert float(row[title]) == pytest.approx(mean(name, code(row["published name"])), abs=6e-4), (row, title)


# -- figures of the ablations ------------------------------------------------------------------------------
def stored(name: str, metric: str, *, protocol: str = "headline") -> dict[str, float]:
    """Method and variant -> mean, from the reference rows of a suite on the mini profile."""
    with open(ROOT / f"dirbench/results/reference/{name}-mini.csv", encoding="utf-8") as file:
        return {f"{row['method']}[{row['variant']}]" if row["variant"] else row["method"]: float(row["mean"])
                for row in csv.DictReader(file) if row["metric"] == metric and row["protocol"] == protocol}


def assert_quoted(text: str, wanted: list[float]) -> None:
    """The figures of a text are ``wanted``, in order, as rounded as they are printed."""
    for printed, value in zip(figures(text), wanted, strict=True):
        assert rounds(printed, value), (printed, value)


def test_quoted_figures_of_the_attention_ablation():
    n, s, effect = (stored("attention_ablation", metric) for metric in ("n_discov", "s_disen", "effect"))
    said = DOCUMENTED["sefa+attention"].split("attention_ablation-mini.csv", 1)[1]
    bi, pt = "+attention[bi]", "+attention[pt]"
    wanted = [x[key] for x, base in ((n, "sefa"), (s, "sefa"), (n, "ganspace"), (s, "ganspace"))
              for key in (base + bi, base + pt, base)]
    attended = [effect[base + kind] for base in ("sefa", "ganspace") for kind in (bi, pt)]
    wanted += [min(attended), max(attended), effect["sefa"], effect["ganspace"]]
    wanted += [s[f"contrafeat[{kind}]"] for kind in ("bi", "bi-no_focus", "bi-pooled")]
    assert_quoted(said, wanted)


def test_quoted_figures_of_the_density_ratio_ablation():
    alignment, recovery = (stored("xga_dre_ablation", metric, protocol="greedy")
                           for metric in ("alignment", "attribute_recovery"))
    said = COMPARED.split("xga_dre_ablation-mini.csv", 1)[1].split("inside the band", 1)[0]
    released = ("xga[log_release-1]", "xga[log_release-5]")
    kliep, log = ([value for name, value in recovery.items() if f"[{loss}-" in name] for loss in ("kliep", "log"))
    wanted = [*(alignment[name] for name in released), alignment["xga[lambda_b=0]"], recovery["xga[lambda_b=0]"],
              min(kliep), max(kliep), min(log), max(log)]
    assert_quoted(said, wanted)
    assert [recovery[name] for name in released] == pytest.approx([recovery["xga[lambda_b=0]"]] * 2, abs=6e-4)
