"""The README says what is: its method block works as one file, its commands parse, its files and tables exist."""

import re
import shlex

import pandas as pd
import pytest
from helpers.quoted import rounds
from helpers.tiny import ROOT, arguments

from dirbench import methods
from dirbench.benchmarks.commands._main import main, parser

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


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


@pytest.mark.parametrize("line", [
    line.split("#")[0].strip() for block in blocks("bash") for line in block.splitlines() if "run_bench.py" in line])
def test_every_command_is_one_that_the_parser_takes(line):
    words = shlex.split(line.split("run_bench.py", 1)[1].replace("$SLURM_ARRAY_TASK_ID", "0"))
    words = words if words and not words[0].startswith("-") else ["run", *words]
    assert parser().parse_args(words).function


def test_the_setup_commands_are_those_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    install = next(b for b in blocks("bash") if "[test]" in b)
    assert "python3 -m venv .venv" in install and "python3 -m venv .venv" in ci
    assert "--editable '.[test]'" in ci and "pip install -e '.[test]'" in install
    assert ".venv/bin/python -m pytest" in install and ".venv/bin/python -m pytest" in ci
    assert ".venv/bin/python run_bench.py --suite celeba_subsets" in ci


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_leads_somewhere(target):
    assert target.startswith("http") or (ROOT / target).exists()


def test_the_table_of_folders_is_true():
    for folder in re.findall(r"^\| `([\w/]+/)`", README, re.M):
        assert (ROOT / folder).is_dir(), folder


def test_the_table_of_scores_is_that_of_the_stored_rows():
    """Scores of single GANs, and of pairs where method and table have the same: xGA's, which are with the reference."""
    stored = pd.read_csv(ROOT / "results/reference/celeba_subsets-mini-all.csv", keep_default_na=False)
    means = stored.set_index(["method", "metric", "protocol"])["mean"].to_dict()
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")]
                        for line in README.splitlines() if line.startswith("|") and line.count("|") == 15]
    shown, compared = set(), 0
    for name, *cells in rows:
        method, _, pairing = name.removesuffix(" †").partition(", by ")
        shown.add(method)
        for title, cell in zip(header[1:], cells, strict=True):
            metric = title.replace("_<br>", "_").split()[0]
            protocol = (pairing or "greedy") + ("-centred" if "centred" in title else "")
            key = (method, metric, "headline")
            if key not in means and method in ("xga", "xga-release"):
                key = (method, metric, protocol)
            if key in means and cell[:1] not in ("", "·"):
                assert rounds(cell.split()[0], means[key]), (key, cell)
                compared += 1
    assert shown - {"chance"} == set(stored["method"]) and compared > 120
