"""The reader of YAML: nothing is lost without a word, numbers are numbers, and mistakes have a line."""

import math

import pytest

from dirbench.benchmarks.config.reading import YamlError, parse_yaml, read_yaml


@pytest.mark.parametrize("text, value", [
    ("1e-3", 1e-3), ("1E5", 1e5), ("-1.5e+3", -1500.0), (".5", 0.5), ("2.", 2.0), ("6.0e-4", 6e-4), ("1_000", 1000),
    ("010", 10), ("0o17", 15), ("0xff", 255), ("-7", -7), (".inf", math.inf), ("true", True), ("False", False),
    ("~", None), ("null", None), ("", None),
    # texts, though YAML 1.1 has them for something else
    ("no", "no"), ("on", "on"), ("yes", "yes"), ("1:30", "1:30"), ("2020-01-01", "2020-01-01"), ("1e", "1e"),
    ("1.2.3", "1.2.3"), ("0b1", "0b1"), ("e3", "e3"), ("'1e-3'", "1e-3"), ("42%", "42%")])
def test_plain_words_mean_what_yaml_1_2_says(text, value):
    found = parse_yaml(f"a: {text}", "x").data["a"]
    assert found == value and type(found) is type(value)


def test_keys_are_texts_as_written():
    assert parse_yaml("007: a\n1e3: b\nno: c\n~: d\n'x y': e", "x").data == {
        "007": "a", "1e3": "b", "no": "c", "~": "d", "x y": "e"}


def test_anchors_and_merges_are_followed():
    document = parse_yaml("a: &a {b: 1, c: 2}\nd:\n  <<: *a\n  c: 3\ne: *a", "x")
    assert document.data == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 1, "c": 2}}
    assert document.line(("d", "c")) == 4


LEVELS = [f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]" for i in range(8)]


@pytest.mark.parametrize("text, line, words", [
    ("a: 1\nb: 2\na: 3", 3, ['"a" is there twice', "line 1"]),
    ("a:\n  b: {c: 1, c: 2}", 2, ['"c" is there twice']),
    ("- {a: 1, 'a': 1}", 1, ['"a" is there twice']),
    ("a: 1\n\"a\": 2", 2, ["is there twice"]),
    ("a:\n\tb: 1", 2, ["indent with spaces, not with tabs"]),
    ("a: b: c", 1, ["mapping values are not allowed here", "quotes"]),
    ("a: [1, 2", 1, ["not valid YAML"]),
    ("a: 1\n---\nb: 2", 2, ["another document", "take out the line ---"]),
    ("a: {{ x }}", 1, ["a key must be a plain word"]),
    ("a: *nowhere", 1, ["undefined alias"]),
    ("a: &a [*a]", 1, ["has no end"]),
    ("a: !!python/object/apply:os.system [ls]", 1, ["could not determine a constructor"]),
    ("a: 1\nb: \0", 2, ["'\\x00'"]),
    ("\n".join(["a: &a [x, x, x, x, x, x, x, x, x, x]", *LEVELS]), 6, ["once aliases are followed"]),
    ("a: " + "[" * 200 + "]" * 200, 1, ["deep"]),
    ("[" * 5000, 1, ["deep"]),
    ("a: " + "9" * 5000, 1, ["not valid YAML"]),
    ("", 1, ["is empty"]), ("# only a comment\n", 1, ["is empty"])],
    ids=lambda value: str(value)[:25].replace("\n", " ") if isinstance(value, str) else "")
def test_what_is_refused_has_a_line(text, line, words):
    with pytest.raises(YamlError) as error:
        parse_yaml(text, "x.yaml")
    message = str(error.value)
    assert message.startswith(f"x.yaml:{line}") or (line == 1 and message.startswith("x.yaml"))
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbfa: \xc3\xa9", "a: é".encode("utf-16"), b"\xff\xfea\0:\0 \0\xe9\0",
                                 b"a: \xc3\xa9\r\n"])
def test_files_as_editors_save_them(tmp_path, raw):
    (tmp_path / "x.yaml").write_bytes(raw)
    assert read_yaml(tmp_path / "x.yaml").data == {"a": "é"}


@pytest.mark.parametrize("raw, words", [
    (b"a: 1\nb: caf\xe9", "x.yaml:2: not UTF-8 (byte 0xe9)"), (b"PK\x03\x04\x80", "x.yaml:1: not UTF-8"),
    (b"#" * 16_000_001, "larger than 16 MB"), (None, "cannot be read")])
def test_files_that_are_no_text(tmp_path, raw, words):
    path = tmp_path / "x.yaml"
    path.mkdir() if raw is None else path.write_bytes(raw)
    with pytest.raises(YamlError) as error:
        read_yaml(path)
    assert words in str(error.value)


@pytest.mark.parametrize("text, found", [("- a", "a list"), ("word", "'word'"), ("3", "3")])
def test_keys_and_values_are_asked_for(text, found):
    with pytest.raises(YamlError, match=rf"x:1: expected keys and values \(this, that\), got {found}"):
        parse_yaml(text, "x").mapping("this, that")
