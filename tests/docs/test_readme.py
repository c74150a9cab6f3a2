"""The README is short and true: its method block works as one file, its setup is CI's, its scores are stored."""

import importlib.util
import re

import pandas as pd
from helpers.pages import blocks as blocks_of
from helpers.pages import in_project
from helpers.quoted import rounds
from helpers.tiny import ROOT, arguments

from dirbench import methods
from dirbench.benchmarks.commands._main import main

README, CONTRIBUTING, RESULTS = ((ROOT / name).read_text(encoding="utf-8")
                                 for name in ("README.md", "CONTRIBUTING.md", "docs/results.md"))


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of one language."""
    return blocks_of(README, language)


def test_the_method_block_is_a_whole_method_in_every_table(tmp_path, monkeypatch):
    folder = tmp_path / "methods"
    folder.mkdir()
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(folder)])
    (block,) = blocks("python")
    (folder / "mine.py").write_text(block, encoding="utf-8")
    name = re.search(r'name: ClassVar\[str\] = "(.+)"', block).group(1)
    # `core` is what the suite says: the newcomer needs no other change than its file
    args = arguments(tmp_path, "run", "store", "core", "--only", f"*/{name}/*", "--workers", "1")
    assert main(args) == 0
    rows = pd.read_csv(tmp_path / "run" / "rows.csv", keep_default_na=False)
    assert set(rows["method"]) == {name} and (rows["status"] == "ok").any()
    for table in ("headline_pairs", "headline_gans", "table5_alignment", "by_gan_effect", "costs"):
        assert name in (tmp_path / "run" / "tables" / f"{table}.md").read_text(encoding="utf-8"), table


def test_the_setup_commands_are_those_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    install = next(b for b in blocks("bash") if "[test]" in b)
    assert "python3 -m venv .venv" in install and "python3 -m venv .venv" in ci
    assert "--editable '.[test]'" in ci and "pip install -e '.[test]'" in install
    assert ".venv/bin/python -m pytest" in install and ".venv/bin/python -m pytest" in ci
    assert ".venv/bin/python run_bench.py --suite celeba_subsets" in ci


def test_it_is_short():
    assert len(README.splitlines()) < 150


def test_the_table_of_folders_is_true():
    for folder in re.findall(r"`([\w/]+/)`", CONTRIBUTING.split("## Where things live")[1].split("\n## ")[0]):
        assert in_project(folder).is_dir(), folder


def test_the_small_table_is_part_of_the_whole():
    spec = importlib.util.spec_from_file_location("results_page", ROOT / "docs/results_page.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    between = [text.split(page.START)[1].split(page.END)[0] for text in (README, RESULTS)]
    assert between[0].strip() == page.small_table(between[1])


def test_the_whole_table_is_that_of_the_stored_rows():
    """Scores of single GANs, and of pairs where method and table have the same: xGA's, which are with the reference."""
    name = re.search(r"^Stored rows: `(results/reference/[\w-]+\.csv)`$", RESULTS, re.M)[1]
    stored = pd.read_csv(in_project(name), keep_default_na=False).query("part == 'clients'")
    means = pd.to_numeric(stored.set_index(["method", "metric", "protocol"])["mean"], errors="coerce").to_dict()
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")]
                        for line in RESULTS.splitlines() if line.startswith("|")]
    shown, compared = set(), 0
    for label, *cells in rows:
        method = label.removesuffix(" †").removesuffix(" (own pairing)")
        pairing = "index" if "(own pairing)" in label else "greedy"
        shown.add(method)
        for title, cell in zip(header[1:], cells, strict=True):
            metric = title.replace("\\", "").replace("_<br>", "_").split()[0]
            protocol = pairing + ("-centred" if "shared" in title else "")
            key = (method, metric, "headline")
            if key not in means and method in ("xga", "xga-release"):
                key = (method, metric, protocol)
            if key in means and (printed := re.match(r"-?\d+\.\d+", cell)):
                assert rounds(printed[0], means[key]), (key, cell)
                compared += 1
    assert shown - {"chance"} == set(stored["method"]) and compared > 6 * len(set(stored["method"]))
    commits = set(stored["commit"])
    assert len(commits) == 1 and f"commit {commits.pop()}" in RESULTS
