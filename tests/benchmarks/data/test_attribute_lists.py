"""Attribute lists as people have them: read as they are meant, or refused with file and line; never misread."""

from __future__ import annotations

import codecs
import unicodedata
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from helpers.image_data import encoded, put, put_ramps, ramp, ramps, zipped

from dirbench.benchmarks.data.folder import folder
from dirbench.benchmarks.data.image_set import ImageSet
from dirbench.benchmarks.data.lists import read_attribute_list
from dirbench.benchmarks.data.sources import DataError, DataNote

N = 12
FILES = [f"{i:02}.png" for i in range(N)]
VALUES = [i % 2 for i in range(N)]
PARTS = [2 if i > 8 else 1 if i == 8 else 0 for i in range(N)]


def text(header: str = "file,Smiling,partition", row: str = "{file},{value},{part}", end: str = "\n") -> str:
    """A list of ``FILES`` in that form."""
    rows = [row.format(file=file, value=value, part=part, yes=bool(value), sign=2 * value - 1,
                       word=("train", "val", "test")[part])
            for file, value, part in zip(FILES, VALUES, PARTS, strict=True)]
    return end.join([header, *rows]) + end


READ = {
    "plain": text(), "Windows": codecs.BOM_UTF8 + text(end="\r\n").encode(), "old Mac": text(end="\r"),
    "UTF-16": text().encode("utf-16"), "no last line end": text().rstrip(), "blank lines": "\n\n" + text(end="\n\n"),
    "semicolons": text().replace(",", ";"), "tabs": text().replace(",", "\t"), "bars": text().replace(",", "|"),
    "spaces": text().replace(",", " "), "Excel's first line": "sep=;\n" + text().replace(",", ";"),
    "a space after each comma": text().replace(",", ", "), "a space before it": text().replace(",", " ,"),
    "quotes": text('"file","Smiling","partition"', '"{file}","{value}","{part}"'),
    "quotes after a space": text('"file", "Smiling", "partition"', '"{file}", "{value}", "{part}"'),
    "decimals": text(row="{file},{value}.0,{part}.0"), "decimal commas": text(row="{file};{value},0;{part},0").replace(
        "file,Smiling,partition", "file;Smiling;partition"),
    "remarks": "# made by hand\n#\n" + text(), "a header with #": "#" + text(),
    "a remark with commas": "# a, b, c, d\n" + text(),
    "rows end in a comma": text(row="{file},{value},{part},"), "all end in a comma": text().replace("\n", ",\n"),
    "rows of commas": text() + ",,\n,,\n", "signs": text(row="{file},{sign},{part}"),
    "words": text(row="{file},{yes},{word}"), "capital words": text(row="{file},{yes},{word}").upper().replace(
        "PNG", "png").replace("FILE,SMILING", "file,Smiling"),
    "split": text("file,Smiling,split"), "Set": text("file,Smiling,Set"),
    "in words": text("file,Smiling,usage", "{file},{value},{word}"),
    "partition first": text("file,partition,Smiling", "{file},{part},{value}"),
    "files last": text("Smiling,partition,filename", "{value},{part},{file}"),
    "pandas' index": text(",file,Smiling,partition", "{file},{value},{part}").replace("\n", "\n#"),
    "below the folder's name": text(row="images/{file},{value},{part}"), "dots": text(row="./{file},{value},{part}"),
    "whole paths": text(row="/home/me/images/{file},{value},{part}"),
    "Windows' paths": text(row="C:\\images\\{file},{value},{part}"),
}
lines = READ["pandas' index"].split("\n#")
READ["pandas' index"] = "\n".join([lines[0], *(f"{i},{line}" for i, line in enumerate(lines[1:-1]))]) + "\n"


def raw(content: str | bytes) -> bytes:
    """What is written to the file."""
    return content if isinstance(content, bytes) else content.encode()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    top = tmp_path_factory.mktemp("data")
    put_ramps(top / "images", FILES)
    return top / "images"


def read(images: Path, content: str | bytes) -> tuple[ImageSet, str]:
    """(what is read, what is said about it)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = folder(images, 16, put(images.parent / "list.csv", raw(content)), images.parent / "cache")
    return found, "\n".join(str(one.message) for one in caught if issubclass(one.category, DataNote))


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_the_same_list_in_many_forms(images, content):
    found, _ = read(images, content)
    assert found.names == ("Smiling",) and found.labels[:, 0].int().tolist() == VALUES
    assert found.parts.tolist() == PARTS and torch.equal(found.images, ramps(N))


def edited(line: int, row: str) -> str:
    """The plain list with another line of that number (the header is 1)."""
    rows = text().splitlines()
    rows[line - 1] = row
    return "\n".join(rows) + "\n"


REFUSED = {
    "empty": ("", "list.csv: is empty"), "no rows": ("file,Smiling\n", "got 0 rows"),
    "no attribute": (text("file,partition", "{file},{part}"), "a column for each attribute"),
    "no header": (text(FILES[0] + ",1,0"), r"list.csv:1: the first line is '00.png, 1"),
    "packed": (b"\x1f\x8b..", "an archive; save it as CSV"),
    "after a remark": ("# by hand\n" + edited(4, "02.png,2,0"), "list.csv:5: column Smiling has '2'"),
    "a workbook": (b"PK\x03\x04..", "a workbook or an archive; save it as CSV"),
    "Latin-1": (text("file,L\xe4cheln,partition").encode("latin-1"), r"list.csv:1 cannot be read as text .*as UTF-8"),
    "Latin-1 below": (edited(5, "03.png,\xfc,0").encode("latin-1"), "list.csv:5 cannot be read as text"),
    "UTF-16 that does not say so": (text().encode("utf-16-le"), "it has zero bytes"),
    "an open quote": (edited(4, '"02.png,1,0'), "are all quotes closed"),
    "a field more": (edited(4, "02.png,1,0,1"), r"list.csv:4: the row has 4 fields, the header 3: '02.png, 1, 0, 1'"),
    "a field less": (edited(4, "02.png,1"), r"list.csv:4: the row has 2 fields, the header 3"),
    "a field more in all": (text(row="{file},{value},{part},1"), r"list.csv:2: the row has 4 fields, the header 3"),
    "an empty cell": (edited(4, "02.png,,0"), "list.csv:4: column Smiling is empty, expected 1 or 0"),
    "not a number": (edited(4, "02.png,nan,0"), "list.csv:4: column Smiling has 'nan'"),
    "after blank lines": ("\n\n" + edited(4, "02.png,2,0"), "list.csv:6: column Smiling has '2'"),
    "a share": (edited(4, "02.png,0.7,0"), "list.csv:4: column Smiling has '0.7'"),
    "0 and -1": (edited(4, "02.png,-1,0"), r"column Smiling has both 0 and -1 \(lines 2 and 4\)"),
    "no part": (edited(4, "02.png,1,"), "list.csv:4: column partition has '', expected 0, 1 or 2"),
    "part 3": (edited(4, "02.png,1,3"), "list.csv:4: column partition has '3'"),
    "a file twice": (edited(4, "00.png,1,0"), "list.csv:4: 00.png is listed twice, first in line 2"),
    "no file": (edited(4, ",1,0"), "list.csv:4: the row names no file"),
    "a column twice": (text("file,Smiling,Smiling", "{file},{value},1"), "csv:1: the column Smiling is there twice"),
    "a column twice but for spaces": (text("file,Smiling, Smiling", "{file},{value},1"), "Smiling is there twice"),
    "a column without name": (text("file,,partition"), "list.csv:1: column 2 has no name"),
    "two partitions": (text("file,Smiling,split,partition", "{file},{value},0,0"), "split, partition: about the parts"),
    "half a partition": (text("file,Smiling,is_train", "{file},{value},{value}"), "is_train: about the parts"),
    "one column each": (text("file,Smiling,train,test", "{file},{value},1,0"), "train, test: about the parts"),
    "a validation split": (text("file,Smiling,val_split"), "val_split: about the parts"),
    "two parts in one name": (text("file,Smiling,traintest"), "traintest: about the parts"),
    "folds": (text("file,Smiling,fold"), "fold: about the parts"),
    "absent": (edited(4, "99.png,1,0"), r"99.png listed but not there; 02.png there but not listed"),
    "of another folder": (text(row="train/{file},{value},{part}"), "some differ in their folders only"),
}


@pytest.mark.parametrize("content, sentence", REFUSED.values(), ids=REFUSED)
def test_refusals_name_file_and_line(images, content, sentence):
    with pytest.raises(DataError, match=sentence):
        read(images, content)


def test_a_separator_may_be_in_a_name_too():
    raw = b"file\tSmiling, broad, or\tMale\na.png\t1\t0\nb.png\t0\t1\n"
    assert read_attribute_list(raw, "list.csv").names == ("Smiling, broad, or", "Male")


@pytest.mark.parametrize("name", ["partition", "Partition", "split", "set", "Set", "subset", "data_split", "phase",
                                  "splits", "Usage", "train_val_test"])
def test_a_partition_is_never_an_attribute(name):
    for values in ("0 1", "0.0 1.0", "train test", "Training Validation"):
        first, second = values.split()
        found = read_attribute_list(f"file,Smiling, {name}\na.png,1, {first}\nb.png,0, {second}\n".encode(), "list.csv")
        assert found.names == ("Smiling",) and found.parts.tolist()[0] == 0


@pytest.mark.filterwarnings("error")
def test_every_tenth_is_held_out_where_nothing_says():
    rows = "".join(f"{i}.png,{i % 2}\n" for i in range(20))
    assert read_attribute_list(("file,Smiling\n" + rows).encode(), "list.csv").parts.tolist() == ([0] * 9 + [2]) * 2


def test_a_column_that_is_taken_for_the_partition_is_said(images):
    assert "column split is read as the partition" in read(images, READ["split"])[1]
    assert read(images, READ["plain"])[1] == ""


# -- names -------------------------------------------------------------------------------------------------
COMPOSED, APART = (unicodedata.normalize(form, "Zoé ÅÄ.png") for form in ("NFC", "NFD"))


def listing(top: Path, names: list[str]) -> Path:
    """A list of these names, with one attribute."""
    return put(top / "list.csv", "file,A\n" + "".join(f"{name},1\n" for name in names))


@pytest.mark.parametrize("have, want, said", [
    ([COMPOSED, "1.png"], [APART, "1.png"], ""), ([APART, "1.png"], [COMPOSED, "1.png"], ""),
    (["a/0.png", "b/0.png"], ["a\\0.png", "b\\0.png"], ""), (["a/0.png", "b/1.png"], ["0.png", "1.png"], ""),
    (["0.PNG", "1.PNG"], ["0.png", "1.png"], "in upper and lower case"),
    (["A/0.png", "a/1.png"], ["a/0.png", "a/1.png"], "in upper and lower case"),
    (["0.png", "1.png"], ["0", "1"], "in their endings"), (["0.png", "1.png"], ["0.jpg", "1.jpg"], "in their endings"),
    (["face.1.png", "face.2.png"], ["face.1", "face.2"], "in their endings"),
    (["A.PNG", "b.jpg"], ["a", "B"], "in their endings, and in upper and lower case"),
    (["a.png", "A.png"], ["a.png", "A.png"], ""), (["a.png", "a.jpg"], ["a.jpg", "a.png"], "")])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_names_that_only_look_different(tmp_path, have, want, said, packed):
    kinds = {".jpg": "BMP"}  # what is in a file counts, not its ending
    raws = [encoded(ramp(i), kinds.get(Path(name).suffix, "PNG")) for i, name in enumerate(have)]
    data = tmp_path / "images"
    if packed:
        data = tmp_path / "images.zip"
        with zipfile.ZipFile(data, "w") as archive:
            for name, content in zip(have, raws, strict=True):
                archive.writestr(name, content)
    else:
        for name, content in zip(have, raws, strict=True):
            put(data / name, content)
    order = [have.index(name) for name in want] if set(have) == set(want) else [0, 1]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = folder(data, 16, listing(tmp_path, want), tmp_path / "cache")
    assert torch.equal(found.images, ramps(2)[order])
    notes = [str(one.message) for one in caught if issubclass(one.category, DataNote)]
    assert len(notes) == bool(said) and all(said in note for note in notes)


@pytest.mark.parametrize("have, want, sentence", [
    (["a/0.png", "b/0.png"], ["0.png"], "cannot be told apart"), (["0.png", "0.jpg"], ["0"], "cannot be told apart"),
    ([COMPOSED, APART], [COMPOSED], "there but not listed"), (["0.png", "0.PNG"], ["0.Png"], "cannot be told apart"),
    (["ÿ.png"], ["ü.png"], "letters beyond ASCII differ"),
    (["a.png"], ["\u0430.png"], r"look like others.*u0430"), (["a.png"], ["a\u200b.png"], r"like nothing.*u200b"),
    (["a/0.png"], ["b/0.png"], "differ in their folders only"),
    (["0.png", ".1.png"], ["0.png", "1.png"], "1.png listed but not there")])
def test_names_are_never_guessed(tmp_path, have, want, sentence):
    put_ramps(tmp_path / "images", have)
    with pytest.raises(DataError, match=sentence):
        folder(tmp_path / "images", 16, listing(tmp_path, want), tmp_path / "cache")


def test_names_in_an_archive_that_does_not_say_their_encoding(tmp_path):
    data = zipped(tmp_path / "images.zip", [("é.png", encoded(ramp(0))), ("ü.png", encoded(ramp(1)))], utf8=False)
    found = folder(data, 16, put(tmp_path / "list.csv", "file,A\né.png,1\nü.png,0\n"), tmp_path / "cache")
    assert torch.equal(found.images, ramps(2))


@pytest.mark.parametrize("place", ["attributes.csv", "Attributes.CSV", "images/attributes.csv"])
@pytest.mark.filterwarnings("error")
def test_the_list_inside_a_folder_or_an_archive(tmp_path, place):
    names = [f"images/{name}" for name in FILES]
    put_ramps(tmp_path / "data", names)
    put(tmp_path / "data" / place, text())
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in sorted((tmp_path / "data").rglob("*")):
            archive.write(path, path.relative_to(tmp_path / "data").as_posix())
    for data in (tmp_path / "data", tmp_path / "data.zip"):
        found = folder(data, 16, cache=tmp_path / "cache")
        assert found.names == ("Smiling",) and found.parts.tolist() == PARTS and torch.equal(found.images, ramps(N))


def test_two_lists_inside_are_refused(tmp_path):
    put_ramps(tmp_path / "data", ["0.png"])
    for name in ("attributes.csv", "Attributes.csv"):
        put(tmp_path / "data" / name, "file,A\n0.png,1\n")
    with pytest.raises(DataError, match="say with --attributes which one is meant"):
        folder(tmp_path / "data", 16, cache=tmp_path / "cache")


def test_celebas_own_list_is_one_too(images):
    rows = [f"{file}  {2 * value - 1}  1\n" for file, value in zip(FILES, VALUES, strict=True)]
    content = f"{N}\nSmiling Young\n" + "".join(rows)
    found, _ = read(images, content)
    assert found.names == ("Smiling", "Young") and found.labels[:, 0].int().tolist() == VALUES
    with pytest.raises(DataError, match="list.csv: line 1 says 12 images, 11 follow"):
        read(images, content.rsplit("\n", 2)[0])
