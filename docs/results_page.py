"""Puts a run's numbers into README.md and docs/results.md: python docs/results_page.py RUN REFERENCE

RUN is the folder of a run of many methods; REFERENCE the name of its stored rows in results/reference/. The whole table
and the figure go into docs/, a small one into the README. A test holds both against the stored rows.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results: made by docs/results_page.py -->", "<!-- /results -->"
SHOWN = ("alignment", "attribute_recovery", "false_alarms", "effect", "s_disen")
LINES = ("chance", "random", "ganspace", "sefa", "latentclr", "xga", "interfacegan")


def rows_of(markdown: str) -> list[list[str]]:
    """The cells of a Markdown table, line by line, its header first."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ---")]


def metric_of(header: str) -> str:
    """``false_alarms`` of the header ``false_<br>alarms ↓``; with what else it says, such as the group of protocols."""
    return re.sub(r" [↑↓]", "", header.replace("_<br>", "_").replace("\\_", "_").replace("<br>", " "))


def small_table(whole: str) -> str:
    """The README's table: a few methods and scores of the whole one, their means and intervals only."""
    header, *rows = rows_of(whole)
    columns = {metric_of(title): i for i, title in enumerate(header)}
    named = {row[0].removesuffix(" †"): row for row in rows}
    lines = [["method", *(header[columns[metric]].replace("_<br>", "_").replace("\\_", "_") for metric in SHOWN)],
             ["---", *(["---:"] * len(SHOWN))]]
    lines += [[named[name][0], *(named[name][columns[metric]].split("<br>")[0] for metric in SHOWN)]
              for name in LINES if name in named]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def put(file: Path, text: str) -> None:
    """Replaces what stands between the marks in ``file``."""
    page = file.read_text(encoding="utf-8")
    before, rest = page.split(START)
    file.write_text(f"{before}{START}\n{text.strip()}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main(run: Path, reference: str) -> None:
    """Writes both tables and the figure."""
    whole = (run / "tables" / "all_scores.md").read_text(encoding="utf-8")
    whole = re.sub(r"^(#|What the words mean).*\n", "", whole, flags=re.M)
    put(ROOT / "docs/results.md", f"Stored rows: `results/reference/{reference}.csv`\n\n{whole}")
    put(ROOT / "README.md", small_table(whole))
    shutil.copyfile(run / "summary.png", ROOT / "docs/images/summary.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
