"""docs/suites.md has every key of suites and profiles, says its default, and names what comes along."""

import pytest
from helpers.pages import code, sections, table, text_of

from dirbench.benchmarks.config import profile, suite

PAGE = text_of("suites.md")
FIRST, SECOND = sections(PAGE), sections(PAGE, 3)
# Text below a heading goes on to the next of its level: the first table is the heading's own.
MODELS = {
    "suite": (suite.Suite, FIRST["Keys of a suite"]),
    "profile": (profile.Profile, FIRST["Keys of a profile"]),
    "methods": (suite.Entry, SECOND["Entries of `methods`"]), "extractors": (suite.Extractor, SECOND["Extractors"]),
    "latents": (profile.Latents, SECOND["`latents`"]), "chance": (profile.Chance, SECOND["`chance`"]),
    "ratio": (profile.Ratio, SECOND["`ratio`"]), "extractor": (profile.InputSize, SECOND["`extractor`"])}
CHOSEN = {"gans", "reference", "n_common", "metrics"}  # by a suite itself, where its file is silent


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_there_with_its_default(name):
    model, text = MODELS[name]
    said = {code(row["key"]): row for row in table(text)}
    assert set(said) == set(model.model_fields)
    for key, field in model.model_fields.items():
        default = said[key]["default"]
        needed = field.is_required() and not (name == "suite" and key in CHOSEN)
        assert (default == "required") == needed, key
        if isinstance(field.default, int | float | str) and field.default != "":
            assert default.strip("`") == (str(field.default).lower() if isinstance(field.default, bool)
                                          else str(field.default)), key
        assert said[key]["what it says"]


def test_shipped_suites_and_profiles_are_named():
    text = FIRST["What comes along"]
    for what, folder in (("suite", suite.SUITES), ("profile", suite.PROFILES)):
        rows = table(text[text.index(f"| {what} "):])
        assert {code(row[what]) for row in rows} == set(suite.names(folder)), what
