"""A run ends with what to open first: its summaries, or the sheets where nothing was scored."""

from dirbench.benchmarks.commands.show import open_first


def test_what_is_there_is_named(tmp_path):
    (tmp_path / "sheets").mkdir()
    for name in ("rows.csv", "cells.csv"):
        (tmp_path / name).touch()
    said = open_first(tmp_path)
    assert "sheets  " in said and "cells.csv  " in said and "rows.csv" not in said
    for name in ("summary.md", "summary.png"):
        (tmp_path / name).touch()
    lines = open_first(tmp_path).splitlines()
    assert [line.split()[0].rpartition("/")[2] for line in lines[1:]] == ["summary.md", "summary.png", "rows.csv"]
