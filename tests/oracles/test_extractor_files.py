"""Where extractors' weights come from: files, folders and the hub; what is refused, and how a suite says it."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from helpers import ROOT
from helpers import tiny_extractors as tiny
from safetensors.torch import load_file, save_file
from torch import nn

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.suite import load_suite
from dirbench.names import UnknownName
from dirbench.oracles.networks.checkpoints import read_state
from dirbench.plugins import EXTRACTORS

RESNET, CLIP = tiny.resnet_state(), tiny.resnet_state(clip=True)


class Evil:
    """What a hostile file holds: unpickled, it would leave a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


class Part(nn.Module):
    """A part of a TorchScript network: tensors under given names, and lists as real ones have."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.sizes = [1, 2, 3]
        inner: dict[str, dict] = {}
        for name, tensor in tensors.items():
            head, _, rest = name.partition(".")
            if rest:
                inner.setdefault(head, {})[rest] = tensor
            else:
                self.register_buffer(head, tensor)
        for head, rest in inner.items():
            self.add_module(head, Part(rest))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_torchscript_archive_is_read_without_its_code(tmp_path):
    state = {k: v.half() if v.is_floating_point() else v for k, v in tiny.resnet_state(clip=True).items()}
    # the shape of OpenAI's archive in small: the tower under `visual`, other tensors beside it, half precision
    part = {k: v for k, v in state.items() if k.startswith(("conv", "bn", "attnpool", "layer1.0", "layer4.2"))}
    path = tmp_path / "archive.pt"
    torch.jit.script(Part({f"visual.{k}": v for k, v in part.items()} | {"logit_scale": torch.ones(())})).save(path)
    found = read_state(path, "clip_resnet50")
    assert found.keys() == {f"visual.{k}" for k in part} | {"logit_scale"}
    assert all(torch.equal(found[f"visual.{k}"], v) for k, v in part.items())
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "evil.pt", "w") as copy:
        for record in archive.infolist():
            evil = pickle.dumps({"x": Evil(tmp_path / "trace")}, protocol=2)
            copy.writestr(record.filename, evil if record.filename.endswith("/data.pkl") else archive.read(record))
    with pytest.raises(ValueError, match="cannot be read without running code"):
        read_state(tmp_path / "evil.pt", "clip_resnet50")
    assert not (tmp_path / "trace").exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_whole_clip_archive_gives_the_same_features(tmp_path):
    tensors = tiny.resnet_state(clip=True)
    torch.jit.script(Part({f"visual.{k}": v for k, v in tensors.items()})).save(tmp_path / "RN50.pt")
    found = EXTRACTORS.build("clip_resnet50", weights=str(tmp_path / "RN50.pt"), input_size=64)
    assert torch.equal(found.features(tiny.noise(2, 64)), tiny.build("clip_resnet50").features(tiny.noise(2, 64)))
    assert found.fingerprint() == tiny.build("clip_resnet50").fingerprint()


@pytest.mark.parametrize("name", tiny.FROM_FILES)
def test_files_that_are_refused(name, tmp_path):
    given = tiny.params(name)
    raw = Path(given["weights"]).read_bytes()
    right = hashlib.sha256(raw).hexdigest()
    EXTRACTORS.build(name, **given | {"sha256": right})
    with pytest.raises(ValueError, match=f"sha256 {right[:16]}..., expected 0000000000000000"):
        EXTRACTORS.build(name, **given | {"sha256": "0" * 64})
    with pytest.raises(ValueError, match=r"nowhere\.pt does not exist; expected a \.pt"):
        EXTRACTORS.build(name, weights=str(tmp_path / "nowhere.pt"))
    with pytest.raises(ValueError, match="is a folder"):
        EXTRACTORS.build(name, weights=str(tmp_path))
    with pytest.raises(ValueError, match="parameter weights is missing"):
        EXTRACTORS.build(name)
    for file, content in (("cut.pt", raw[: len(raw) // 2]), ("text.pt", b"<html>"), ("text.safetensors", b"<html>"),
                          ("evil.pt", pickle.dumps({"state_dict": Evil(tmp_path / "trace")}, protocol=2))):
        (tmp_path / file).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{file} cannot be read without running code.*python -c"):
            EXTRACTORS.build(name, weights=str(tmp_path / file))
    torch.save({"state_dict": Evil(tmp_path / "trace")}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="cannot be read without running code"):
        EXTRACTORS.build(name, weights=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "trace").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds no named tensors"):
        EXTRACTORS.build(name, weights=str(tmp_path / "list.pt"))


@pytest.mark.parametrize("name, state, words", [
    ("resnet50_torchvision", CLIP, r"conv1\.weight is \[2, 3, 3, 3\], expected \[any, 3, 7, 7\]"),
    ("resnet50_torchvision", tiny.advbn_state(), r"it has no conv1\.weight; it has feature_x\.0\.weight"),
    ("clip_resnet50", RESNET, r"conv1\.weight is \[4, 3, 7, 7\], expected \[any, 3, 3, 3\]"),
    ("resnet50_torchvision", {k: v for k, v in RESNET.items() if "layer3.5" not in k}, "layers have 3, 4, 5, 3 blocks"),
    ("resnet50_torchvision", {k: v for k, v in RESNET.items() if "conv3" not in k}, r"has no layer1\.0\.conv3\.weight"),
    ("resnet50_torchvision", RESNET | {"layer1.0.conv2.weight": torch.zeros(4, 1, 3, 3)},
     r"layer1\.0\.conv2\.weight is \[4, 1, 3, 3\], expected \[any, 4, 3, 3\]"),
    ("resnet50_torchvision", {k: v for k, v in RESNET.items() if "layer1.0.downsample" not in k},
     r"layer1\.0 adds 4 channels to 16 without a shortcut"),
    ("resnet50_torchvision", RESNET | {"bn1.bias": torch.zeros(5)}, r"bn1\.bias is \[5\], expected \[4\]"),
    ("resnet50_torchvision", RESNET | {"layer1.0.se.weight": torch.zeros(1)}, r"it also has layer1\.0\.se\.weight"),
    ("clip_resnet50", CLIP | {"attnpool.positional_embedding": torch.zeros(4, 128)}, "4 rows, expected one more than"),
], ids=[f"layout{i}" for i in range(10)])
def test_another_layout_is_named(name, state, words, tmp_path):
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=rf"extractor {name}: the weights are no .*{words}"):
        EXTRACTORS.build(name, weights=str(tmp_path / "other.pt"))


@pytest.fixture
def vit(tmp_path):
    """A copy of the tiny ViT that a test may spoil."""
    return shutil.copytree(tiny.params("vit")["weights"], tmp_path / "vit")


def test_torch_files_stand_in_for_safetensors_but_run_nothing(vit):
    state = load_file(vit / "model.safetensors")
    (vit / "model.safetensors").unlink()
    torch.save(state, vit / "pytorch_model.bin")
    assert EXTRACTORS.build("vit", weights=str(vit)).fingerprint() == tiny.build("vit").fingerprint()
    torch.save(state | {"x": Evil(vit / "trace")}, vit / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot be loaded as ViTModel"):
        EXTRACTORS.build("vit", weights=str(vit))
    assert not (vit / "trace").exists()


def test_folders_that_are_refused(vit):
    right = hashlib.sha256((vit / "model.safetensors").read_bytes()).hexdigest()
    EXTRACTORS.build("vit", weights=str(vit), sha256=right)
    with pytest.raises(ValueError, match="sha256"):
        EXTRACTORS.build("vit", weights=str(vit), sha256="0" * 64)
    with pytest.raises(ValueError, match="holds a 'vit' network, expected 'vit_mae'"):
        EXTRACTORS.build("mae_vit", weights=str(vit))
    for missing in (str(vit / "nowhere"), "./nowhere", "a/b/c"):
        with pytest.raises(ValueError, match=r"does not exist; expected a folder with config\.json"):
            EXTRACTORS.build("vit", weights=missing)
    with pytest.raises(ValueError, match="is no folder"):
        EXTRACTORS.build("vit", weights=str(vit / "config.json"))
    state = load_file(vit / "model.safetensors")
    save_file({k: v for k, v in state.items() if "cls_token" not in k}, vit / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"are no ViTModel: they have no embeddings\.cls_token"):
        EXTRACTORS.build("vit", weights=str(vit))
    (vit / "model.safetensors").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="cannot be loaded as ViTModel"):
        EXTRACTORS.build("vit", weights=str(vit))
    (vit / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="has no weights"):
        EXTRACTORS.build("vit", weights=str(vit))
    (vit / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"has no preprocessor_config\.json"):
        EXTRACTORS.build("vit", weights=str(vit))


def test_another_depth_is_no_resnet50(tmp_path):
    folder = shutil.copytree(tiny.params("resnet50")["weights"], tmp_path / "resnet")
    config = json.loads((folder / "config.json").read_text()) | {"depths": [3, 4, 23, 3]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"blocks, expected bottleneck layers of \[3, 4, 6, 3\]"):
        EXTRACTORS.build("resnet50", weights=str(folder))


def test_hub_ids_come_from_the_hub_or_offline_from_the_cache(vit, monkeypatch):
    import huggingface_hub
    calls = []

    def snapshot_download(repo, **options):
        calls.append((repo, options))
        if repo == "nobody/nothing":
            raise FileNotFoundError("no such repository\nsecond line")
        return str(vit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    EXTRACTORS.build("vit", revision="abc")
    (repo, options), = calls
    assert repo == "google/vit-base-patch16-224" and options["revision"] == "abc" and not options["local_files_only"]
    assert "model.safetensors" in options["allow_patterns"] and not any("bin" in p for p in options["allow_patterns"])
    with pytest.raises(ValueError, match=r"could not be fetched from the hub \(no such repository\)"):
        EXTRACTORS.build("vit", weights="nobody/nothing")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # what --offline sets
    EXTRACTORS.build("vit", weights="somebody/vit")
    assert calls[-1][1]["local_files_only"]
    with pytest.raises(ValueError, match="offline, and not in the local cache"):
        EXTRACTORS.build("vit", weights="nobody/nothing")
    calls.clear()
    EXTRACTORS.build("vit", weights=str(vit))
    assert not calls, "a folder is never looked up"


@pytest.mark.parametrize("name", tiny.SETTINGS)
def test_a_missing_package_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=rf"{name} needs the package transformers.*pip install -e '\.\[features\]'"):
        EXTRACTORS.build(name)


# -- suites ----------------------------------------------------------------------------------------------------
def test_names_and_parameters_are_checked():
    with pytest.raises(UnknownName, match='unknown extractor "clip_vitt". Did you mean "clip_vit"'):
        EXTRACTORS.check("clip_vitt")
    with pytest.raises(UnknownName, match='unknown parameter "weight". Did you mean "weights"'):
        EXTRACTORS.check("vit", {"weight": "x"})
    with pytest.raises(ValueError, match="vit: input_size: .*integer; got '64'"):
        EXTRACTORS.check("vit", {"input_size": "64"})
    assert EXTRACTORS.check("vit", {"weights": "x", "input_size": 64, "revision": None}).name == "vit"


@pytest.mark.parametrize("written, name, given", [
    ("vit", "vit", {}),
    ("{name: clip_resnet50, weights: RN50.pt, input_size: 64}", "clip_resnet50",
     {"weights": "RN50.pt", "input_size": 64}),
])
def test_a_suite_names_its_extractor(written, name, given, tmp_path):
    entry = suite_with(written, tmp_path).extractor
    assert (entry.name, entry.params) == (name, given)


def test_the_pages_lines_are_ones_that_a_suite_takes(tmp_path):
    lines = [line for line in (ROOT / "docs/suites.md").read_text(encoding="utf-8").splitlines()
             if line.startswith("extractor:")]
    named = [suite_with(line.removeprefix("extractor:"), tmp_path).extractor.name for line in lines]
    assert named == ["efficientnet_lite0", "clip_vit", "clip_resnet50"]


def test_list_names_every_extractor_with_its_first_line(capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out.split("extractors:")[1]
    assert all(f"  {name} " in listed for name in EXTRACTORS.load_all()[0])


@pytest.mark.parametrize("written, words", [
    ("vitt", 'unknown extractor "vitt". Did you mean "vit"'),
    ("{name: vit, weight: x}", 'unknown parameter "weight". Did you mean "weights"'),
    ("{name: clip_resnet50}", "parameter weights is missing"),
    ("{name: vit, input_size: small}", "input_size: .*'small'"),
])
def test_a_suites_mistake_is_named_with_its_line(written, words, tmp_path):
    with pytest.raises(ConfigError, match=rf"own\.yaml:\d+: .*extractor.*{words}"):
        suite_with(written, tmp_path)


def suite_with(extractor: str, folder: Path):
    source = ROOT / "dirbench" / "benchmarks" / "suites" / "celeba_subsets.yaml"
    lines = source.read_text(encoding="utf-8").splitlines()
    lines = [f"extractor: {extractor}" if line.startswith("extractor:") else line for line in lines]
    (folder / "own.yaml").write_text("\n".join(lines), encoding="utf-8")
    return load_suite(str(folder / "own.yaml"))
