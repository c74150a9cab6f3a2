"""The Python of docs/python.md runs as it stands there, and every public name has its reference."""

import re

import pandas as pd
from helpers.pages import blocks, text_of

import dirbench

PAGE = text_of("python.md")


def test_every_public_name_has_its_reference():
    assert sorted(re.findall(r"^::: dirbench\.(\w+)$", PAGE, re.M)) == sorted(set(dirbench.__all__) - {"__version__"})


def test_its_blocks_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "results/runs/my-run"
    run.mkdir(parents=True)
    pd.DataFrame({"metric": "effect", "status": ["ok", "failed"], "method": "sefa", "value": ["0.5", ""]}).to_csv(
        run / "rows.csv", index=False)
    first, second = blocks(PAGE, "python")
    space: dict = {}
    exec(first, space)
    assert space["images"].shape == (8, 3, 32, 32) and len(space["directions"]) == 4
    exec(second, {})
    assert re.search(r"sefa +0\.5", capsys.readouterr().out)
