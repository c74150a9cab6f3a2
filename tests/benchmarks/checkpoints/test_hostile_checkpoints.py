"""Hostile and damaged checkpoints: refused with a sentence; nothing runs, crashes, hangs or fills the memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import tarfile
import zipfile
from pathlib import Path

import helpers
import numpy as np
import pytest
import torch
from helpers.pickled import Call
from safetensors.torch import save

from dirbench.benchmarks.checkpoints import CheckpointError, read_checkpoint
from dirbench.benchmarks.checkpoints.machine import Machine, Table
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.generators import families
from dirbench.benchmarks.generators.stylegan2 import StyleGAN2

FOLDER = helpers.GOLDEN / "generators"
SMALL = FOLDER / "hostile_module_src.pkl"  # a whole snapshot of 8x8 pixels, which a safe reader may load
MARKER = "PWNED_golden_file"
HOSTILE = sorted(path for path in FOLDER.glob("hostile_*.pkl") if path != SMALL)


@pytest.fixture(autouse=True)
def watched(tmp_path, monkeypatch):
    """An empty current folder; afterwards nothing of a payload is in it, and no gigabytes were taken."""
    monkeypatch.chdir(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert not Path(MARKER).exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # kilobytes


def refused(raw, words=None, name="x.pkl"):
    Path(name).write_bytes(raw)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_checkpoint(name)
    assert name in str(caught.value) and len(str(caught.value)) < 1000
    return str(caught.value)


def survives(raw, name="x.pkl"):
    """Read and built, or refused with a sentence; True if it was built."""
    Path(name).write_bytes(raw)
    try:
        families.build(read_checkpoint(name))
    except CheckpointError as error:
        assert name in str(error)
        return False
    return True


# -- the golden hostile files ----------------------------------------------------------------------------
def test_all_golden_hostile_files_are_here():
    assert [p.stem.removeprefix("hostile_") for p in HOSTILE] == [
        "dotted_global", "nested", "os_system", "posix_system", "storage_bytes"]


@pytest.mark.parametrize("path", HOSTILE, ids=lambda p: p.stem)
def test_golden_hostile_pickles_are_refused_and_leave_no_trace(path, capsys):
    with pytest.raises(CheckpointError, match=r"asks for '(os\.system|posix\.system|builtins\.eval|torch\.seria.*)'"):
        read_checkpoint(path)
    for command in (["inspect-checkpoint", str(path)], ["convert", str(path), "--to", "x.safetensors"]):
        assert main(command) == 2
    out, err = capsys.readouterr()
    assert "nothing was run" in err and "Traceback" not in out + err and os.listdir() == []


def test_hostile_module_source_is_ignored():
    assert MARKER.encode() in SMALL.read_bytes()
    generator = families.load_generator(SMALL)
    assert (generator.resolution, generator.latent_dim, generator.w_dim) == (8, 8, 8)
    assert MARKER not in json.dumps(read_checkpoint(SMALL).extras) and os.listdir() == []


@pytest.mark.parametrize("path", HOSTILE, ids=lambda p: p.stem)
def test_hostile_pickles_in_other_clothes_are_refused(path):
    raw, packed = path.read_bytes(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("network.pkl", raw)
    refused(packed.getvalue(), "asks for", "a.zip")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # as torch.save writes
        archive.writestr("archive/data.pkl", raw)
        archive.writestr("archive/version", "3\n")
    refused(packed.getvalue(), "asks for", "a.pt")
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    refused(head + raw, "asks for", "b.pt")


@pytest.mark.parametrize("function, args", [
    (os.system, ("touch " + MARKER,)), (eval, ("1",)), (getattr, (dict, "pop")), (__import__, ("os",)),
    (torch.load, ("x",)), (torch.hub.load, ("a", "b")), (np.load, ("x",)), (open, (MARKER, "w")),
    (torch.zeros, (10**12,)), (bytearray, (10**12,)), (range, (10,)), (os.unlink, ("x",)), (io.FileIO, (MARKER, "w")),
], ids=lambda v: getattr(v, "__name__", ""))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_no_other_name_can_be_called(function, args, protocol):
    refused(pickle.dumps({"G_ema": Call(function, *args)}, protocol), "asks for|opcode|no checkpoint known")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"g_ema": Call(function, *args)}, protocol))
    refused(packed.getvalue(), "asks for|opcode", "x.pt")


# -- streams made to wear a reader out --------------------------------------------------------------------
P = b"\x80\x04"


def text(value: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value


def module(state: bytes, name: bytes = b"Generator") -> bytes:
    """A persistent object whose state's opcodes are given."""
    return (b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n}(" + text(b"type") + text(b"class")
            + text(b"class_name") + text(name) + text(b"state") + state + b"u\x85R")


@pytest.mark.parametrize("raw, words", [
    (P + b"]" + b"r\xff\xff\xff\x7f" + b".", "expected NVIDIA"),  # a place far out in the memo costs nothing
    (P + b")" + b"\x85" * 100_000 + b"}" + b"h\x00" + b".", "memo is empty"),
    (P + b"}" + b")" + b"\x85" * 100_000 + b"Ns.", "a tuple as key"),  # its hash would end the process
    (P + b"(" * 100_000 + b".", "mark stands"), (P + b"}" + b"Xaaaa", "damaged or truncated"),
    (P + b"\x8e" + struct.pack("<Q", 1 << 62) + b"xx.", "damaged or truncated"),
    (P + b"B\xff\xff\xff\x7fxx.", "damaged or truncated"), (P + b"\x96" + struct.pack("<Q", 1 << 50) + b".", "damaged"),
    (P + b"}I" + b"9" * 100_000 + b"\n.", "damaged or truncated"),
    (P + b"}" + b"\x8b" + struct.pack("<I", 50_000) + b"\x7f" * 50_000 + b"Ns.", "a int as key"),
    (P + b"cos\nsystem\n.", "asks for 'os.system'"), (P + b"(cos\nsystem\no.", "asks for"),
    (P + b"(ios\nsystem\n.", "INST"),
    (P + b"\x82\x01.", "EXT1"), (P + b"Pabc\n.", "PERSID"), (P + b"NQ.", "outside itself"),
    (P + b"ccollections\nOrderedDict\n}\x85\x92.", "NEWOBJ_EX"), (P + b"NNb.", "sets the state of a NoneType"),
    (P + b"ctorch_utils.persistence\n_reconstruct_persistent_obj\nN\x85R.", "not write"),
    (P + b"ctorch.storage\n_load_from_bytes\nN\x85R.", "instead of bytes"),
    (P + b"cnumpy\ndtype\n" + text(b"O8") + b"\x89\x88\x87R.", "plain numbers"),
    (P + b"ccollections\nOrderedDict\n(]q\x00" + b"h\x00" * 5000 + b"tR.", "damaged"),
    (P, "ends without|damaged"), (b"\x80", "damaged"), (P + b".", "damaged"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_streams_that_wear_readers_out(raw, words):
    refused(raw, words)


def test_steps_are_counted():
    stream = P + b"N0" * 600 + b"N."
    assert Machine(io.BytesIO(stream), Table(), 1300).run() is None
    with pytest.raises(CheckpointError, match="more than 1000 pickle opcodes"):
        Machine(io.BytesIO(stream), Table(), 1000).run()


def test_copying_the_same_content_again_and_again_is_noticed():
    items = b"(" + b"N" * 5000 + b"t" + b"\x94"
    again = b"cbuiltins\nset\n\x94(" + (b"h\x01" + b"h\x00" + b"\x85R") * 1000 + b"t."
    refused(P + items + again, "again and again")


def test_networks_without_end_are_refused():
    refused(P + b"}" + text(b"G_ema") + module(b"}") + b"s.", "without tensors")
    deep = module(b"}")
    for _ in range(60):
        deep = module(b"}(" + text(b"_modules") + b"}(" + text(b"a") + deep + b"uu")
    refused(P + b"}" + text(b"G_ema") + deep + b"s.", "no end")
    wide = module(b"}") + b"\x94"  # each level holds the one before twice: 2**40 parts
    for level in range(40):
        get = b"h" + bytes([level])
        wide += b"0" + module(b"}(" + text(b"_modules") + b"}(" + text(b"a") + get + text(b"b") + get + b"uu") + b"\x94"
    refused(P + b"}" + text(b"G_ema") + wide + b"s.", "no end")


# -- sizes that lie ------------------------------------------------------------------------------------
def torch_zip(pickled: bytes, data: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
        for key, raw in data.items():
            archive.writestr(f"archive/data/{key}", raw)
    return packed.getvalue()


def a_tensor(size: bytes, stride: bytes, offset: bytes = b"K\x00", declared: bytes = b"K\x04") -> bytes:
    """The pickle of {"weight": tensor} with sizes in the stream's own words."""
    storage = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + declared + b"tQ"
    return (P + b"}" + text(b"weight") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size + stride
            + b"\x89N" + b"tRs.")


BIG = b"\x8a\x05" + (10**9).to_bytes(5, "little")


@pytest.mark.parametrize("raw, words", [
    (a_tensor(BIG + b"\x85", b"K\x01\x85"), "its storage has 4 numbers"),
    (a_tensor(BIG + b"\x85", b"K\x00\x85"), "its storage has 4 numbers"),  # one number, repeated
    (a_tensor(b"K\x02K\x02\x86", BIG + b"K\x01\x86"), "its storage has 4 numbers"),
    (a_tensor(b"K\x04\x85", b"K\x01\x85", offset=b"K\x01"), "its storage has 4 numbers"),
    (a_tensor(b"J\xff\xff\xff\xff\x85", b"K\x01\x85"), "size is -1"),
    (a_tensor(b"K\x04\x85", b"J\xff\xff\xff\xff\x85"), "stride is -1"),
    (a_tensor(b"K\x04\x85", b"K\x01\x85", declared=BIG), "declares 1000000000 numbers"),
    (a_tensor(b"K\x04\x85", b")"), "equally long"), (a_tensor(b"N", b"N"), "equally long"),
    (a_tensor(text(b"4") + b"\x85", b"K\x01\x85"), "size is str"),
    (a_tensor(b"\x8b" + struct.pack("<I", 9000) + b"\x7f" * 9000 + b"\x85", b"K\x01\x85"), "size is int"),
])
def test_tensors_larger_than_their_data_are_refused(raw, words):
    refused(torch_zip(raw, {"0": bytes(16)}), words, "x.pt")


def test_an_honest_tensor_written_so_is_read():
    Path("x.pt").write_bytes(torch_zip(a_tensor(b"K\x02K\x02\x86", b"K\x02K\x01\x86"), {"0": bytes(16)}))
    assert read_checkpoint("x.pt").state["weight"].shape == (2, 2)
    refused(torch_zip(a_tensor(b"K\x04\x85", b"K\x01\x85"), {}), "is missing", "x.pt")
    refused(torch_zip(a_tensor(b"K\x04\x85", b"K\x01\x85"), {"0": bytes(12)}), "has 12 bytes", "x.pt")


def test_one_storage_behind_very_many_tensors_is_refused():
    shared = torch.zeros(1 << 16)
    stream = io.BytesIO()
    torch.save({f"w{i}": shared.view(256, 256) for i in range(64)}, stream)
    refused(stream.getvalue(), r"declares tensors of \d+ bytes in a file of", "x.pt")


@pytest.mark.parametrize("change, words", [
    ({"w": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 8]}}, "damaged safetensors"),
    ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 10**15]}}, "damaged safetensors"),
    ({"w": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}}, "damaged safetensors"),
    ({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, "damaged safetensors"),
    ({"w": {"dtype": "X", "shape": [2], "data_offsets": [0, 8]}}, "damaged safetensors"),
    ({"w": 3}, "damaged safetensors"), ([[[]]], "no checkpoint known|damaged"),
])
def test_safetensors_headers_that_lie(change, words):
    header = json.dumps(change).encode()
    refused(struct.pack("<Q", len(header)) + header + bytes(8), words, "x.safetensors")
    refused(struct.pack("<Q", 1 << 40) + header + bytes(8), None, "x.safetensors")


def test_state_dicts_whose_shapes_ask_for_all_memory_are_refused():
    state = dict(read_checkpoint(SMALL).state)
    wide = state | {"synthesis.b8.torgb.weight": torch.zeros(3, 200_000, 1, 1),
                    "synthesis.b4.torgb.weight": torch.zeros(3, 200_000, 1, 1)}
    with pytest.raises(ValueError, match="size mismatch for synthesis"):
        StyleGAN2.from_state_dict(wide)
    tall = state | {"synthesis.b1048576.torgb.weight": torch.zeros(3, 8, 1, 1)}
    with pytest.raises(ValueError, match="missing"):
        StyleGAN2.from_state_dict(tall)
    rng = np.random.default_rng(0)
    for name in list(state)[::3]:
        shape = [int(n) for n in rng.integers(0, 5, rng.integers(0, 5))]
        Path("x.safetensors").write_bytes(save(state | {name: torch.zeros(shape)}))
        if shape != list(state[name].shape):
            with pytest.raises(CheckpointError, match="x.safetensors"):
                families.load_generator("x.safetensors")


# -- archives --------------------------------------------------------------------------------------------
def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return packed.getvalue()


def tarred(*members: tuple[str, bytes, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, kind, raw in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(raw), "/etc/passwd"
            archive.addfile(info, io.BytesIO(raw))
    return packed.getvalue()


WHOLE = SMALL.read_bytes()


@pytest.mark.parametrize("name", ["../x.pkl", "/etc/x.pkl", "a/../../x.pkl", "C:x.pkl", "a\\..\\x.pkl", "a\nb.pkl",
                                  "x" * 400 + ".pkl"])
def test_path_tricks_in_archives_are_refused(name):
    refused(zipped({name: WHOLE}), "path trick", "x.zip")
    refused(zipped({"fine.pkl": WHOLE, name: b""}), "path trick", "x.zip")
    refused(torch_zip(a_tensor(b"K\x04\x85", b"K\x01\x85"), {f"../../{name}": bytes(16)}), "path trick", "x.pt")
    if len(name) < 100:
        refused(tarred((name, tarfile.REGTYPE, WHOLE)), "path trick", "x.tar")
    assert os.listdir("..") and not Path("../x.pkl").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE,
                                  tarfile.GNUTYPE_SPARSE], ids=str)
def test_links_and_devices_in_tars_are_refused(kind):
    refused(tarred(("x.pkl", kind, b""), ("y.pkl", tarfile.REGTYPE, WHOLE)), "link or device", "x.tar")


@pytest.mark.parametrize("size", [b"-00000000001", b"77777777777\x00", b"\x80" + b"\x7f" * 11, b"\xff" * 12],
                         ids=["minus one", "8 GB", "2**88", "base-256 minus one"])
def test_tar_sizes_that_lie_are_refused(size):
    raw = bytearray(tarred(("x.pkl", tarfile.REGTYPE, WHOLE)))
    raw[124:136] = size
    raw[148:156] = b"%06o\x00 " % (sum(raw[:148]) + sum(raw[156:512]) + 8 * 32)
    refused(bytes(raw), "declares|damaged tar", "x.tar")


def test_zip_bombs_are_refused():
    bomb = zipped({"x.pkl": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    refused(bomb, "declares 50000000 bytes", "x.zip")
    refused(zipped({"a/data.pkl": bytes(50_000_000)}, zipfile.ZIP_DEFLATED), "compressed", "x.pt")
    small, large = struct.pack("<I", 50_000_000), struct.pack("<I", 1000)
    assert bomb.count(small) == 2  # in the member's header and in the directory: it declares a thousand bytes now
    refused(bomb.replace(small, large), "damaged zip", "x.zip")
    refused(zipped({f"{i}.txt": b"" for i in range(3)}), "0 checkpoints", "x.zip")
    refused(zipped({"a.pkl": WHOLE, "b.pkl": WHOLE}), "2 checkpoints", "x.zip")
    with pytest.warns(UserWarning, match="Duplicate"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("x.pkl", WHOLE)
            archive.writestr("x.pkl", b"other")
    refused(packed.getvalue(), "twice", "x.zip")


def test_programs_are_refused():
    refused(zipped({"m/data.pkl": b"\x80\x02}.", "m/code/net.py": b"print()"}), "TorchScript", "x.pt")


# -- fuzz ------------------------------------------------------------------------------------------------
def torch_bytes(zipped_format: bool) -> bytes:
    stream = io.BytesIO()
    torch.save({"g_ema": read_checkpoint(SMALL).state, "latent_avg": torch.zeros(8)}, stream,
               _use_new_zipfile_serialization=zipped_format)
    return stream.getvalue()


SUBJECTS = {
    "snapshot": lambda: WHOLE, "torch": lambda: torch_bytes(True), "old torch": lambda: torch_bytes(False),
    "safetensors": lambda: save(read_checkpoint(SMALL).state), "zip": lambda: zipped({"a.safetensors": save(
        read_checkpoint(SMALL).state)}, zipfile.ZIP_DEFLATED),
    "tar": lambda: tarred(("a.pkl", tarfile.REGTYPE, WHOLE)),
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_fuzzed_files_are_read_or_refused(subject):
    whole = SUBJECTS[subject]()
    assert survives(whole)
    rng = np.random.default_rng(sum(subject.encode()))
    for _ in range(15):  # truncations: a tail without content, such as a tar's padding, may be missing
        if survives(whole[:int(rng.integers(0, len(whole)))]):
            assert subject == "tar"
    for _ in range(40):
        raw = bytearray(whole)
        for _ in range(int(rng.integers(1, 5))):  # half of them in the head, where structure is
            place = int(rng.integers(0, len(raw) if rng.random() < 0.5 else min(2000, len(raw))))
            raw[place] ^= 1 << int(rng.integers(0, 8))
        survives(bytes(raw))
    for _ in range(10):  # a stretch of noise, or of another place of the same file
        raw, n = bytearray(whole), int(rng.integers(1, 200))
        at, source = (int(i) for i in rng.integers(0, len(raw) - n, 2))
        raw[at:at + n] = rng.bytes(n) if rng.random() < 0.5 else raw[source:source + n]
        survives(bytes(raw))


def test_random_opcodes_are_refused():
    rng = np.random.default_rng(7)
    alphabet = b"}](e.0N)\x85\x86\x87tRbcq\x00h\x00u\x94\x93\x8c\x01asKX\x88\x89\x81Q}])"
    for _ in range(300):
        body = bytes(rng.choice(list(alphabet), int(rng.integers(1, 60))).tolist())
        refused(P + body + b".", None)
