"""docs/metrics.md says of every metric what its class says."""

import re

import pytest
from helpers.pages import code, sections, table, text_of

from dirbench.plugins import METRICS

PAGE = text_of("metrics.md")
FOUND = METRICS.load_all()[0]
SECTIONS = {name.strip("`"): text for name, text in sections(PAGE, 3).items() if name.startswith("`")}


def test_every_metric_has_a_section():
    assert set(SECTIONS) == set(FOUND)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_says_what_the_class_says(name):
    metric, said = FOUND[name], {row[""]: row for row in _rows(SECTIONS[name])}
    assert code(said["of"]["says"]) == metric.needs
    assert said["better"]["says"] == ("higher" if metric.higher_is_better else "lower")
    assert tuple(float(end) for end in re.findall(r"`([^`]+)`", said["values"]["says"])) == metric.bounds
    assert tuple(re.findall(r"`([^`]+)`", said["protocols"]["says"])) == metric.protocols
    assert said["asks what is missing"]["says"] == ("yes" if metric.reads_missing else "no")
    assert said["source"]["says"] == metric.source
    assert said["chance"]["says"]


def test_every_protocol_is_explained():
    rows = table(sections(PAGE)["Protocols"])
    explained = {name for row in rows for name in re.findall(r"`([^`]+)`", row["protocol"])}
    assert explained == {protocol for metric in FOUND.values() for protocol in metric.protocols}


def test_every_metric_has_an_equation():
    for name in SECTIONS:
        assert re.search(rf"^### `{name}`\n.*?^```text\n.+?^```", PAGE.split("## Beside the")[0], re.S | re.M), name


def _rows(text: str) -> list[dict[str, str]]:
    return [{"": cells[0], "says": cells[1]} for line in text.splitlines() if line.startswith("| ")
            for cells in [[cell.strip() for cell in line.strip("|").split("|", 1)]] if cells[0].strip("- ")]
