"""What stands beside the weights stays opaque and unrun; files that are no checkpoints are named for what they are."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import decimal
import enum
import functools
import io
import operator
import os
import pickle
import random
import shutil
import tarfile
import types
import uuid
import zipfile
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from pathlib import PurePosixPath

import helpers
import numpy as np
import pytest
import torch
from helpers.pickled import Call, define, modules
from helpers.strangers import write_network

from dirbench.benchmarks.checkpoints import CheckpointError, read_checkpoint
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.generators.external_spec import load_external
from dirbench.benchmarks.generators.families import load_generator

GOLDEN = helpers.GOLDEN
STATE = {"a.weight": torch.arange(4.0).view(2, 2), "a.bias": torch.ones(2)}
PARAMETER = torch.nn.Parameter(torch.ones(2))


class Colour(enum.Enum):
    """Of no meaning."""

    RED = 1


@dataclasses.dataclass
class Settings:
    """Of a training."""

    size: int = 32


BESIDE = {
    "set": {1, 2}, "frozenset": frozenset("ab"), "counter": Counter({3: 1}), "default": defaultdict(list, loss=[0.5]),
    "ordered": OrderedDict([(1, 2)]), "chain": ChainMap({1: 2}), "deque": deque([1], maxlen=3), "enum": Colour.RED,
    "data": Settings(), "namespace": argparse.Namespace(size=3, function=len), "simple": types.SimpleNamespace(a=1),
    "path": PurePosixPath("x/y"), "date": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "decimal": decimal.Decimal(1),
    "uuid": uuid.UUID(int=1), "complex": 1 + 2j, "bytearray": bytearray(b"x"), "range": range(3), "slice": slice(1),
    "long": 2**100, "partial": functools.partial(int, base=2), "getter": operator.itemgetter(1), "function": len,
    "class": Settings, "error": ValueError("x"), "numpy number": np.float64(12.5), "numpy truth": np.bool_(True),
    "numpy text": np.array(["a", "b"]), "numpy objects": np.array([{}], dtype=object),
    "numpy date": np.datetime64("2020"), "numpy fields": np.zeros(2, dtype=[("a", "f4")]),
    "numpy random": np.random.default_rng(0), "random": random.getstate(),
    "tuples as keys": {(1, 2): 3}, "numbers as keys": {0.5: 1, 2**47: 2}, "enums as keys": {Colour.RED: 1},
    "module": torch.nn.Sequential(torch.nn.ReLU()), "optimiser": torch.optim.Adam([PARAMETER]), "dtype": torch.float32,
    "device": torch.device("cpu"), "size": torch.Size([1]), "complex tensor": torch.ones(2, dtype=torch.complex64),
    "float8": torch.ones(2).to(torch.float8_e4m3fn), "uint16": torch.ones(2).to(torch.uint16),
    "sparse": torch.eye(3).to_sparse(),
}


def is_read(path):
    checkpoint = read_checkpoint(path)
    assert checkpoint.state.keys() == STATE.keys()
    assert all(torch.equal(checkpoint.state[name], value) for name, value in STATE.items())
    return checkpoint


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_anything_may_stand_beside_the_weights(name, protocol, tmp_path):
    content = {"g_ema": STATE, "beside": BESIDE[name], "deeper": {"x": [BESIDE[name]]}}
    for zipped in (True, False):
        torch.save(content, tmp_path / "x.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
        is_read(tmp_path / "x.pt")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol))
    is_read(tmp_path / "x.pkl")


@pytest.mark.parametrize("base", [object, dict, list, set])
@pytest.mark.parametrize("protocol", [2, 4])
def test_objects_of_classes_that_nobody_has(base, protocol, tmp_path):
    with modules("pytorch_lightning.utilities.parsing") as (module,):
        thing = define(module, "AttributeDict", base)()
        if base is dict:
            thing.update(lr=0.1, resolution=32)
        elif base is not object:
            thing.__init__([1, 2])
        else:
            thing.lr = 0.1
        torch.save({"state_dict": STATE, "config": thing}, tmp_path / "x.ckpt", pickle_protocol=protocol)
    extras = is_read(tmp_path / "x.ckpt").extras
    lr = 0.1 if base in (dict, object) else None
    assert extras.get("config", {}).get("lr") == lr  # settings are kept


class _OldTexts(pickle._Pickler):
    """Writes texts as Python 2 did: as byte strings."""

    def save_text(self, text):
        raw = text.encode("latin1")
        self.write(b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + len(raw).to_bytes(4, "little") + raw)
        self.memoize(text)

    dispatch = types.MappingProxyType(pickle._Pickler.dispatch | {str: save_text})


def test_files_of_python_2(tmp_path):
    module = types.SimpleNamespace(Pickler=_OldTexts, __name__="pickle",
                                   dump=lambda value, file, protocol=2: _OldTexts(file, 2).dump(value))
    torch.save(OrderedDict(STATE), tmp_path / "x.pth", pickle_module=module, pickle_protocol=2,
               _use_new_zipfile_serialization=False)
    is_read(tmp_path / "x.pth")
    stream = io.BytesIO()
    _OldTexts(stream, 2).dump({"G": {name: value.numpy() for name, value in STATE.items()}, "note": "x" * 300})
    (tmp_path / "x.pkl").write_bytes(stream.getvalue())
    is_read(tmp_path / "x.pkl")


@pytest.mark.parametrize("function, args", [
    (os.system, ("touch PWNED",)), (eval, ("1",)), (exec, ("1",)), (os.unlink, ("x",)), (__import__, ("os",)),
    (shutil.rmtree, ("x",)), (open, ("PWNED", "w"))], ids=lambda v: getattr(v, "__name__", ""))
@pytest.mark.parametrize("where", ["beside", "among the weights", "in a discriminator"])
def test_an_attack_is_refused_wherever_it_stands(function, args, where, tmp_path, monkeypatch):
    """It would not be run; but who is sent such a file should hear of it."""
    monkeypatch.chdir(tmp_path)
    content = {"beside": {"g_ema": STATE, "x": Call(function, *args)},
               "among the weights": {"g_ema": {**STATE, "x": Call(function, *args)}},
               "in a discriminator": {"g_ema": STATE, "d": {"x": Call(function, *args)}}}[where]
    for zipped in (True, False):
        torch.save(content, "x.pt", _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match=r"asks for '[\w.]+'.*nothing was run"):
            read_checkpoint("x.pt")
    assert os.listdir() == ["x.pt"]


@pytest.mark.parametrize("function, args", [(getattr, (dict, "pop")), (print, ("PWNED",)), (torch.load, ("x",))])
def test_other_calls_stay_uncalled(function, args, tmp_path, capsys):
    torch.save({"g_ema": STATE, "x": Call(function, *args)}, tmp_path / "x.pt")
    is_read(tmp_path / "x.pt")
    assert capsys.readouterr() == ("", "")
    torch.save({"g_ema": Call(function, *args)}, tmp_path / "y.pt")
    with pytest.raises(CheckpointError, match="asks for"):
        read_checkpoint(tmp_path / "y.pt")


@pytest.mark.parametrize("content", [
    {f"k{i}": {"w.a": torch.ones(2, 2)} for i in range(5000)}, {f"g{i}.w": torch.ones(2, 2) for i in range(5000)},
    {"module." * 20_000 + "a": torch.ones(2)}, {"g_ema": STATE} | {f"k{i}": [list(range(1000))] for i in range(100)},
], ids=["networks", "prefixes", "wrappers", "lists"])
def test_files_with_very_many_places_are_read_or_refused_at_once(content, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    try:
        read_checkpoint(tmp_path / "x.pt")
    except CheckpointError as error:
        assert "more than 300 networks" in str(error)


@pytest.mark.parametrize("value", [torch.eye(3).to_sparse(), torch.ones(2, dtype=torch.complex64),
                                   torch.ones(2).to(torch.float8_e4m3fn)], ids=["sparse", "complex", "float8"])
def test_weights_of_rare_kinds_are_refused_by_name(value, tmp_path):
    torch.save({"g_ema": STATE | {"b.weight": value}}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="holds 'b.weight' as .*; expected dense numbers"):
        read_checkpoint(tmp_path / "x.pt")


def test_a_file_that_holds_itself_is_read(tmp_path):
    content = {"g_ema": STATE}
    content["self"] = content
    torch.save(content, tmp_path / "x.pt")
    is_read(tmp_path / "x.pt")


# -- files that are no checkpoints, or parts of one ----------------------------------------------------------------
def a_torch_file():
    stream = io.BytesIO()
    torch.save({"g_ema": STATE}, stream)
    return stream.getvalue()


COMPANION = bytes.fromhex("00051607000200") + bytes(75)  # what a Mac writes beside a file on other file systems


@pytest.mark.parametrize("members", [
    {"x.pth": None, "__MACOSX/._x.pth": COMPANION}, {"last.ckpt": None, "hparams.yaml": b"a: 1"},
    {"pytorch_model.bin": None}, {"m/model_best.pth.tar": None, "m/._model_best.pth.tar": COMPANION},
    {"m/": b"", "m/G": None, "m/readme": b"weights"}, {"G.PTH": None, ".DS_Store": b"x"}])
def test_archives_around_a_checkpoint_of_any_name(members, tmp_path):
    raw = {name: a_torch_file() if content is None else content for name, content in members.items()}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, content in raw.items():
            archive.writestr(name, content)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, content in raw.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.size, info.type = len(content), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(content))
    for file in ("x.zip", "x.tar"):
        is_read(tmp_path / file)


def test_an_unpacked_torch_file_is_named(tmp_path):
    (tmp_path / "x.pt").write_bytes(a_torch_file())
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        archive.extractall(tmp_path / "unpacked")
    inner = next((tmp_path / "unpacked").iterdir())
    for place in (tmp_path / "unpacked", inner):
        with pytest.raises(CheckpointError, match="unpacked torch file; use the .pt file itself, or pack"):
            read_checkpoint(place)
    with pytest.raises(CheckpointError, match="part of an unpacked torch file"):
        read_checkpoint(inner / "data.pkl")
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):  # packed again, as one does and as the message says
        with zipfile.ZipFile(tmp_path / "again.pt", "w", compression) as archive:
            for path in sorted(inner.rglob("*")):
                archive.write(path, path.relative_to(inner.parent))
        if compression:
            with pytest.raises(CheckpointError, match="without compression: zip -0 -r"):
                read_checkpoint(tmp_path / "again.pt")
    is_read(tmp_path / "again.pt")


@pytest.mark.parametrize("name", ["dnnlib.tflib.network", "src.dnnlib.tflib.network", "tfutil"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_tensorflow_is_named(name, protocol, tmp_path):
    with modules(name) as (module,):
        cls, variables = define(module, "Network"), [("w", np.ones(3, np.float32))]
        networks = cls(), cls(), cls()
        for network in networks:
            vars(network).update(version=4, static_kwargs={}, build_func_name="G", variables=variables)
        for content in (networks, {"Gs": networks[0]}, networks[2]):
            (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol))
            with pytest.raises(CheckpointError, match=r"TensorFlow code .*Convert the file first: legacy.py"):
                read_checkpoint(tmp_path / "x.pkl")


@pytest.mark.parametrize("raw, words", [
    (b"", r"empty \(0 bytes\)"), (b"\xef\xbb\xbf<html>", "web page"), (b'\n{"error": 404}', "server answered"),
    (b"404: Not Found", "a text, perhaps what a server answered"), (COMPANION, "companion"), (b"Rar!\x1a\x07", "RAR"),
    (b"\x93NUMPY\x01\x00", "array of numpy"), (a_torch_file()[:300], "truncated zip archive.*download whole")])
def test_what_is_no_checkpoint_is_named(raw, words, tmp_path):
    (tmp_path / "x.pt").write_bytes(raw)
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(tmp_path / "x.pt")


# -- weights that are not finite -----------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["synthesis.b4.const", "mapping.w_avg"])
def test_weights_that_are_not_finite_are_refused(value, name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = torch.load(GOLDEN / "stylegan2_ada.pt", weights_only=True)["state_dict"]
    state[name].view(-1)[:2] = value
    torch.save({"g_ema": state}, "x.pt")
    sentence = rf"x.pt holds weights that are not finite .* in 1 of 75 tensors: {name} \(2 of \d+\)"
    with pytest.raises(CheckpointError, match=sentence):
        load_generator("x.pt")
    assert main(["convert", "x.pt", "--to", "y.safetensors"]) == 2
    assert f"not finite (NaN or infinite) in 1 of 75 tensors: {name}" in capsys.readouterr().err
    assert main(["inspect-checkpoint", "x.pt"]) == 0 and "warning" in capsys.readouterr().out
    assert os.listdir() == ["x.pt"]


def test_what_enters_from_beside_the_weights_must_be_finite_too(tmp_path):
    content = torch.load(GOLDEN / "stylegan2_rosinality.pt", weights_only=True)["checkpoint"]
    content["latent_avg"][3] = torch.nan
    for mean in (content["latent_avg"], content["latent_avg"].expand(8, -1).clone()):  # equal rows, NaN or not
        torch.save(content | {"latent_avg": mean, "best_loss": torch.tensor(torch.inf)}, tmp_path / "x.pt")
        with pytest.raises(CheckpointError, match=r"mapping.w_avg \(1 of 32\)"):
            load_generator(tmp_path / "x.pt")


def test_own_networks_must_be_finite(tmp_path):
    write_network(tmp_path, "mynet_finite")
    state = torch.load(tmp_path / "net.pt")
    state["head.bias"][0] = torch.nan
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"head.bias \(1 of 16\)"):
        load_external({"module": "mynet_finite:Net", "checkpoint": "net.pt", "latent_dim": 24,
                       "input_shape": [24, 1, 1]}, tmp_path)
