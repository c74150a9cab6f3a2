"""docs/glossary.md has the words that tables, figures and commands print, each with an address of its own."""

import re

import pytest
from helpers.pages import anchors, sections, text_of
from helpers.tiny import ROOT

PAGE = text_of("glossary.md")
WORDS = re.findall(r"[\w-]+", """
alpha alignment artifact audit baseline budget called cell ceiling chance change client common control cached commit
dead direction edit effect extractor fit for-these-gans-only greedy headline interval latent live margin method metric
missing not-better-than-chance novel off-target-recovery oracle own-pairing pair plan pool profile protocol published
random random-run reference reliability response seed shared-response-removed stage status store suite teacher tolerance
traversal unique variant z-w-w-and-s zoo
""")


@pytest.mark.parametrize("word", WORDS)
def test_a_word_has_an_address(word):
    assert word in anchors(PAGE)


def test_entries_are_short_and_there_once():
    entries = [entry for text in sections(PAGE).values() for entry in re.findall(r"^### (.+)$", text, re.M)]
    assert len(entries) == len({entry.lower() for entry in entries}) == len(sections(PAGE, 3))
    for entry, text in sections(PAGE, 3).items():
        assert 0 < len(re.split(r"^## ", text, flags=re.M)[0].split()) < 60, entry


def test_stages_are_those_that_there_are():
    said = re.findall(r"`(\w+)`", sections(PAGE, 3)["stage"].split("##")[0])
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "dirbench/benchmarks/stages").glob("*.py")]
    stages = {found[1] for text in texts if (found := re.search(r'^    kind = "(\w+)"', text, re.M))}
    assert set(said) == stages
