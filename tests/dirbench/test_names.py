"""Names that become paths: one rule, whatever they name."""

import itertools
import unicodedata

import pytest
import yaml

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.suite import Entry, load_profile, load_suite
from dirbench.benchmarks.running.plan import Plan
from dirbench.benchmarks.zoo.zoo import Zoo, ZooError
from dirbench.names import MAX_BYTES, check_name, check_names, check_pairs

GOOD = ["full", "no_hats", "ffhq-256", "a.b", "xga[early]", "kimg 10000", "άλφα", "日本", "हिन्दी", "é", "2023", "0.5",
        "no_none", "_x", "1", "run 3", "x" * MAX_BYTES]
BAD = ["", ".", "..", "../../up", "a/b", "a\\b", ".hidden", "-x", " x", "x ", "x.", "con", "NUL.txt", "Com1", "a:b",
       "a*b", "a?", "a|b", "<a>", 'a"b', "a\nb", "a\tb", "a\0b", "\u202eabc", "a\u200bb", "a\u2028b", "x" * 101,
       "é" * 51, "~", "𝄞", "run#3", "007", "1e3", "None", "NA", "nan", "Null", "TRUE"]


@pytest.mark.parametrize("name", GOOD)
def test_names_that_may_be(name):
    assert check_name(name, "GAN") == name


@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_names_that_may_not(name, tmp_path):
    with pytest.raises(ValueError, match="(?s)the GAN's name .*names become files: they have letters, digits"):
        check_name(name, "GAN")


@pytest.mark.parametrize("name", [3, None, True, 1.5, ["a"]], ids=str)
def test_a_name_is_a_text(name):
    with pytest.raises(ValueError, match="write it in quotes"):
        check_name(name, "GAN")


@pytest.mark.parametrize("a, b", [("Full", "full"), ("é", "e\u0301"), ("É", "é"), ("STRASSE", "straße"),
                                  ("ΣΑΣ", "σας"), ("Å", "\u212b")])
def test_names_that_a_file_system_takes_for_one(a, b):
    with pytest.raises(ValueError, match="differ only in capitals or in the form of a letter"):
        check_names([a, "other", b], "GAN")
    check_names([a, "other"], "GAN")


def test_the_same_name_twice():
    with pytest.raises(ValueError, match='the GAN "full" is there twice'):
        check_names(["full", "b", "full"], "GAN")


@pytest.mark.parametrize("names", [("a-b", "c", "a", "b-c"), ("a-b", "a", "b"), ("a-with-b", "c", "a", "b-with-c"),
                                   ("A-b", "a", "B")])
def test_pairs_that_would_be_called_the_same(names):
    with pytest.raises(ValueError, match="rename one of these GANs"):
        check_pairs(names)
    check_pairs(["ffhq-256", "afhq-256", "a", "b", "ffhq"])


def test_ids_differ_wherever_names_pass():
    parts = ["a", "b", "a-b", "b-a", "a-b-a", "b-b"]
    for names in itertools.combinations(parts, 4):
        try:
            check_pairs(names)
        except ValueError:
            continue
        ids = [Plan._id("score", Entry(name="sefa"), gans, 0)
               for gans in [*((n,) for n in names), *itertools.permutations(names, 2)]]
        assert len(ids) == len(set(ids))


SUITE = {"suite": "mine", "title": "t", "generators": {"full": "a.pt", "birds": "b.pt"}, "methods": ["random"]}
UP = "../../up"


@pytest.mark.parametrize("change, place", [
    ({"suite": UP}, "suite"), ({"generators": {UP: "a.pt"}}, "generators"),
    ({"generators": {"full": "a.pt", "Full": "b.pt"}}, "generators"), ({"gans": ["full", UP]}, "gans"),
    ({"controls": [["full", UP]]}, "controls"), ({"controls": [["full", "BIRDS"]]}, ""),
    ({"methods": [{"name": "sefa", "variant": UP}]}, "methods"),
    ({"methods": [{"name": "sefa", "variant": "a"}, {"name": "sefa", "variant": "A"}]}, "methods"),
    ({"methods": [{"name": "sefa", "variant": "v" * 120}]}, "methods"), ({"metrics": [UP]}, "metrics")], ids=str)
def test_a_suite_is_checked_where_it_is_read(tmp_path, change, place):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**SUITE, **change}, sort_keys=False, allow_unicode=True))
    with pytest.raises(ConfigError, match=rf"s\.yaml:\d+: {place}"):
        load_suite(str(tmp_path / "s.yaml"))


def test_a_profile_is_checked_where_it_is_read(tmp_path):
    from dirbench.benchmarks.config.suite import PROFILES
    smoke = (PROFILES / "smoke.yaml").read_text(encoding="utf-8")
    for old, new in (("profile: smoke", f"profile: {UP}"), ("gans: [full,", f"gans: [{UP},")):
        (tmp_path / "p.yaml").write_text(smoke.replace(old, new))
        with pytest.raises(ConfigError, match=r"p\.yaml:\d+: (profile|gans): the .* name"):
            load_profile(str(tmp_path / "p.yaml"))


@pytest.mark.parametrize("manifest", [{"zoo": UP, "gans": {"full": "a.pt"}}, {"zoo": "z", "gans": {UP: "a.pt"}},
                                      {"zoo": "z", "gans": {"a": "a.pt", "A": "b.pt"}}], ids=str)
def test_a_zoo_is_checked_where_it_is_read(tmp_path, manifest):
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({"title": "t", **manifest}))
    with pytest.raises(ZooError, match=r"zoo\.yaml:\d is no zoo manifest: (zoo|gans): "):
        Zoo(tmp_path)


def test_an_oracle_that_is_to_be_trained_is_checked_before(tmp_path, capsys):
    assert main(["train-oracle", "folder", "--data", str(tmp_path), "--out", str(tmp_path), "--name", UP]) == 2
    assert "the oracle's name" in capsys.readouterr().err


def test_the_form_of_letters_is_kept():
    nfd = unicodedata.normalize("NFD", "café")
    assert check_name(nfd, "GAN") == nfd
