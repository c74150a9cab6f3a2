"""Feature extractors: one contract for all, numbers against independent computations, refusals in sentences."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tiny_extractors as tiny
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from benchmarks.cli import main
from benchmarks.config import ConfigError, load_suite
from methods.registry import UnknownName
from oracles import registry
from oracles._preprocessing import from_settings

ROOT = Path(__file__).parent.parent
NAMES = list(registry.load_all()[0])
OURS = ("resnet50_torchvision", "advbn_resnet50", "clip_resnet50")


def needs_transformers(name: str) -> None:
    if name in tiny.SETTINGS:
        pytest.importorskip("transformers", reason="the extra `features` is not installed")


@pytest.fixture(scope="session")
def params(tmp_path_factory):
    """name -> parameters of a tiny extractor; its files are made once."""
    made = {}

    def get(name: str) -> dict:
        needs_transformers(name)
        if name not in made:
            made[name] = tiny.save(name, tmp_path_factory.mktemp(name) / "tiny")
        return dict(made[name])

    return get


@pytest.fixture(scope="session")
def build(params):
    """name -> tiny extractor, made once."""
    made = {}

    def get(name: str):
        if name not in made:
            made[name] = registry.extractor(name, **params(name))
        return made[name]

    return get


def noise(n: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# -- one contract ----------------------------------------------------------------------------------------------
def test_every_file_loads_and_every_extractor_of_the_papers_is_there():
    assert registry.load_all()[1] == {}
    assert set(NAMES) == {"efficientnet_lite0", *tiny.SETTINGS, *OURS}


@pytest.mark.parametrize("name", NAMES)
def test_features_are_a_function_of_each_image_alone(name, build):
    extractor, images = build(name), noise(4, 40)
    state = torch.get_rng_state()
    with torch.no_grad():
        together = extractor.features(images)
        again = extractor.features(images)
        alone = torch.cat([extractor.features(image[None]) for image in images])
    assert torch.equal(torch.get_rng_state(), state), "it draws random numbers"
    assert together.shape == (4, extractor.width) and together.dtype == torch.float32
    assert together.isfinite().all()
    assert torch.equal(together, again), "the same call twice"
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4 * together.abs().max().item())
    assert (together[0] - together[1]).norm() > 1e-3 * together[0].norm(), "it tells images apart"


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_image_and_no_weight(name, build):
    extractor, images = build(name), noise(2, 40).requires_grad_()
    extractor.features(images).square().sum().backward()
    assert images.grad.isfinite().all() and (images.grad.abs().amax((2, 3)) > 0).all()
    assert not any(p.requires_grad or p.grad is not None for p in extractor.parameters())
    assert not extractor.training


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_slopes(name, build):
    extractor, images, step = build(name), noise(1, 40), noise(1, 40, seed=1)
    images.requires_grad_()
    readout = torch.linspace(-1, 1, extractor.width)
    (gradient,) = torch.autograd.grad((extractor.features(images) @ readout).sum(), images)
    with torch.no_grad():
        up, down = (extractor.features(images + sign * 2e-3 * step) @ readout for sign in (1, -1))
    slope = ((up - down) / 4e-3).item()
    assert (gradient * step).sum().item() == pytest.approx(slope, rel=0.1, abs=1e-2 * gradient.norm().item())


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_maps_coarse_last_with_gradients(name, build):
    extractor, images = build(name), noise(2, 40).requires_grad_()
    maps = extractor.maps(images)
    sides = [m.shape[-1] for m in maps]
    assert len(maps) >= 2 and sides == sorted(sides, reverse=True)
    assert all(m.ndim == 4 and len(m) == 2 and m.shape[2] == m.shape[3] for m in maps)
    (gradient,) = torch.autograd.grad(maps[-1].square().sum(), images)
    assert (gradient.abs().amax((1, 2, 3)) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_maps_lie_as_the_image_does(name, build):
    """A change in the lower right corner changes the map there most: rows are rows, and columns columns."""
    extractor, images = build(name), noise(1, 64)
    changed = images.clone()
    changed[..., 48:, 48:] *= -1
    difference = (extractor.maps(changed)[0] - extractor.maps(images)[0]).abs().sum(1)[0]
    rows, columns = difference.sum(1), difference.sum(0)
    half = len(rows) // 2
    assert rows[half:].sum() > rows[:half].sum() and columns[half:].sum() > columns[:half].sum()
    upper_right, lower_left = difference[:half, half:].sum(), difference[half:, :half].sum()
    assert difference[half:, half:].sum() > max(upper_right, lower_left)


@pytest.mark.parametrize("name", NAMES)
def test_fingerprints_are_of_weights_and_preprocessing(name, build, params, tmp_path):
    extractor = build(name)
    given = params(name)
    if "weights" in given:  # the same elsewhere is the same
        source, copy = Path(given["weights"]), tmp_path / "copy"
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
        given["weights"] = str(copy)
    same = registry.extractor(name, **given)
    assert same.fingerprint() == extractor.fingerprint()
    assert registry.extractor(name, **given | {"input_size": 96}).fingerprint() != extractor.fingerprint()
    with torch.no_grad():
        next(t for t in same.state_dict().values() if t.is_floating_point() and t.numel() > 3).mul_(1.001)
    assert same.fingerprint() != extractor.fingerprint()


@pytest.mark.parametrize("name", NAMES)
def test_other_input_sizes_and_what_is_no_image(name, params):
    bigger = registry.extractor(name, **params(name) | {"input_size": 96})
    assert bigger.features(noise(2, 40)).shape == (2, bigger.width)
    with pytest.raises(ValueError, match=rf"{name}: input_size is 65, expected a multiple of \d+"):
        registry.extractor(name, **params(name) | {"input_size": 65})
    with pytest.raises(ValueError, match=rf"{name}: expected float images \[N, 3, H, W\]"):
        bigger.features(torch.zeros(2, 1, 8, 8))


# -- numbers ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, size", [("vit", 20), ("vit", 50), ("clip_vit", 20), ("clip_vit", 50)])
def test_preprocessing_is_pillows_resize_and_the_models_own_settings(name, size):
    from PIL import Image
    settings = tiny.SETTINGS[name]
    images = noise(2, size)
    found = from_settings(settings, None, 8, name)(images)
    pixels = (images.double() * 127.5 + 127.5).numpy()
    resized = np.stack([[np.asarray(Image.fromarray(channel.astype(np.float32)).resize((32, 32), settings["resample"]))
                         for channel in image] for image in pixels])
    mean, deviation = (np.reshape(settings[key], (1, 3, 1, 1)) for key in ("image_mean", "image_std"))
    np.testing.assert_allclose(found.numpy(), (resized / 255 - mean) / deviation, atol=2e-4)


def test_preprocessing_settings():
    base = tiny.SETTINGS["vit"]
    assert from_settings(base | {"do_center_crop": True, "crop_size": 24}, None, 8, "vit").size == 24
    plain = from_settings(base | {"do_normalize": False}, None, 8, "vit")
    torch.testing.assert_close(plain(noise(1, 32)), noise(1, 32) / 2 + 0.5)
    for wrong, words in (({"resample": 1}, "resample 1, expected 2"), ({"size": None}, "size None"),
                         ({"size": {"height": 32, "width": 16}}, "one side of a square"),
                         ({"image_std": [0, 1, 1]}, "deviations above 0"), ({"image_mean": None}, "image_mean None")):
        with pytest.raises(ValueError, match=words):
            from_settings(base | wrong, None, 8, "vit")


def test_torchvision_resnet_agrees_with_transformers(params, tmp_path):
    folder = Path(params("resnet50")["weights"])
    import transformers
    renamed = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for old, new in ((r"embedder.embedder.convolution", "conv1"), ("embedder.embedder.normalization", "bn1")):
            name = name.replace(old, new)
        parts = name.split(".")
        if parts[0] == "encoder":
            _, _, stage, _, block, part, *rest = parts
            if part == "shortcut":
                leaf = f"downsample.{0 if rest[0] == 'convolution' else 1}.{rest[1]}"
            else:
                leaf = f"{'conv' if rest[1] == 'convolution' else 'bn'}{int(rest[0]) + 1}.{rest[2]}"
            name = f"layer{int(stage) + 1}.{block}.{leaf}"
        renamed[name] = tensor
    save_file(renamed, tmp_path / "renamed.safetensors")
    ours = registry.extractor("resnet50_torchvision", weights=str(tmp_path / "renamed.safetensors"), input_size=64)
    theirs = transformers.ResNetModel.from_pretrained(folder).eval()
    images = noise(3, 64)
    with torch.no_grad():
        expected = theirs(pixel_values=ours.preprocess(images), output_hidden_states=True)
        torch.testing.assert_close(ours.features(images), expected.pooler_output.flatten(1), rtol=1e-4, atol=1e-4)
        for found, theirs_map in zip(ours.maps(images), expected.hidden_states[1:], strict=True):
            torch.testing.assert_close(found, theirs_map, rtol=1e-4, atol=1e-4)


def test_advbn_is_a_resnet_with_one_of_its_two_norms(params, build, tmp_path):
    clean, other = tiny.resnet_state(), tiny.resnet_state(seed=1)
    mixed = {k: other[k] if k.startswith(("layer3", "layer4")) and (".bn" in k or "downsample.1" in k) else v
             for k, v in clean.items()}  # before the cut, norms are always the clean ones
    images = noise(2, 64)
    for norms, state in (("clean", clean), ("adversarial", mixed)):
        torch.save(state, tmp_path / "plain.pt")
        expected = registry.extractor("resnet50_torchvision", weights=str(tmp_path / "plain.pt"), input_size=64)
        found = registry.extractor("advbn_resnet50", norms=norms, **params("advbn_resnet50"))
        assert torch.equal(found.features(images), expected.features(images))
    plain = registry.extractor("advbn_resnet50", weights=str(tmp_path / "plain.pt"), input_size=64)
    assert torch.equal(plain.features(images), expected.features(images)), "torchvision's layout"
    with pytest.raises(ValueError, match='norms is "adversarial", but .* has no adv_bn'):
        registry.extractor("advbn_resnet50", weights=str(tmp_path / "plain.pt"), norms="adversarial")
    with pytest.raises(ValueError, match="norms: .*'noisy'"):
        registry.extractor("advbn_resnet50", weights="x.pt", norms="noisy")


def clip_reference(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """CLIP's ResNet written from the paper's Sec. 2.4 on torch's functions, nothing folded, all queries answered."""
    def conv_norm(x, conv, norm, stride=1):
        weight = state[f"{conv}.weight"]
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
        return F.batch_norm(x, *(state[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))

    for i in (1, 2, 3):
        x = F.relu(conv_norm(x, f"conv{i}", f"bn{i}", 2 if i == 1 else 1))
    x = F.avg_pool2d(x, 2)
    for i, depth in enumerate(tiny.DEPTHS, 1):
        for j in range(depth):
            block, pool = f"layer{i}.{j}", nn.AvgPool2d(2) if i > 1 and j == 0 else nn.Identity()
            y = x
            for k in (1, 2, 3):
                y = conv_norm(pool(y) if k == 3 else y, f"{block}.conv{k}", f"{block}.bn{k}")
                y = F.relu(y) if k < 3 else y
            short = conv_norm(pool(x), f"{block}.downsample.0", f"{block}.downsample.1") if j == 0 else x
            x = F.relu(y + short)
    tokens = x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens]) + state["attnpool.positional_embedding"][:, None]
    attention = nn.MultiheadAttention(tokens.shape[-1], tokens.shape[-1] // 64).double()
    parts = [[state[f"attnpool.{part}_proj.{kind}"] for part in "qkv"] for kind in ("weight", "bias")]
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat(parts[0]))
        attention.in_proj_bias.copy_(torch.cat(parts[1]))
        attention.out_proj.weight.copy_(torch.eye(tokens.shape[-1]))
        attention.out_proj.bias.zero_()
        pooled = attention(tokens, tokens, tokens)[0][0]
    return F.linear(pooled, state["attnpool.c_proj.weight"], state["attnpool.c_proj.bias"])


def test_clip_resnet_is_the_papers(build):
    extractor, images = build("clip_resnet50"), noise(3, 64)
    state = {k: v.double() if v.is_floating_point() else v for k, v in tiny.resnet_state(clip=True).items()}
    expected = clip_reference(state, extractor.preprocess(images).double())
    torch.testing.assert_close(extractor.features(images).double(), expected, rtol=1e-4, atol=1e-4)


def test_transformers_extractors_are_their_models(build, params):
    transformers = pytest.importorskip("transformers", reason="the extra `features` is not installed")
    images = noise(2, 32)
    with torch.no_grad():
        vit = transformers.ViTForImageClassification.from_pretrained(params("vit")["weights"]).eval()
        logits = vit(pixel_values=build("vit").preprocess(images)).logits
        torch.testing.assert_close(vit.classifier(build("vit").features(images)), logits, rtol=1e-4, atol=1e-5)

        mae = transformers.ViTMAEModel.from_pretrained(params("mae_vit")["weights"], mask_ratio=0.0).eval()
        shuffled = torch.rand(2, 16, generator=torch.Generator().manual_seed(0))
        expected = mae(pixel_values=build("mae_vit").preprocess(images), noise=shuffled).last_hidden_state[:, 0]
        torch.testing.assert_close(build("mae_vit").features(images), expected, rtol=1e-4, atol=1e-5)

        clip = transformers.CLIPModel.from_pretrained(params("clip_vit")["weights"]).eval()
        found = clip.get_image_features(pixel_values=build("clip_vit").preprocess(images))
        expected = getattr(found, "pooler_output", found)
        assert build("clip_vit").width == 12
        torch.testing.assert_close(build("clip_vit").features(images), expected, rtol=1e-4, atol=1e-5)


# -- files -----------------------------------------------------------------------------------------------------
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
def test_a_torchscript_archive_is_read_without_its_code(build, tmp_path):
    state = {k: v.half() if v.is_floating_point() else v for k, v in tiny.resnet_state(clip=True).items()}
    # the shape of OpenAI's archive in small: the tower under `visual`, other tensors beside it, half precision
    part = {k: v for k, v in state.items() if k.startswith(("conv", "bn", "attnpool", "layer1.0", "layer4.2"))}
    path = tmp_path / "archive.pt"
    torch.jit.script(Part({f"visual.{k}": v for k, v in part.items()} | {"logit_scale": torch.ones(())})).save(path)
    from oracles._checkpoints import read_state
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
def test_a_whole_clip_archive_gives_the_same_features(build, tmp_path):
    tensors = tiny.resnet_state(clip=True)
    torch.jit.script(Part({f"visual.{k}": v for k, v in tensors.items()})).save(tmp_path / "RN50.pt")
    found = registry.extractor("clip_resnet50", weights=str(tmp_path / "RN50.pt"), input_size=64)
    assert torch.equal(found.features(noise(2, 64)), build("clip_resnet50").features(noise(2, 64)))
    assert found.fingerprint() == build("clip_resnet50").fingerprint()


@pytest.mark.parametrize("name", OURS)
def test_files_that_are_refused(name, params, tmp_path):
    given = params(name)
    raw = Path(given["weights"]).read_bytes()
    right = hashlib.sha256(raw).hexdigest()
    registry.extractor(name, **given | {"sha256": right})
    with pytest.raises(ValueError, match=f"sha256 {right[:16]}..., expected 0000000000000000"):
        registry.extractor(name, **given | {"sha256": "0" * 64})
    with pytest.raises(ValueError, match=r"nowhere\.pt does not exist; expected a \.pt"):
        registry.extractor(name, weights=str(tmp_path / "nowhere.pt"))
    with pytest.raises(ValueError, match="is a folder"):
        registry.extractor(name, weights=str(tmp_path))
    with pytest.raises(ValueError, match="parameter weights is missing"):
        registry.extractor(name)
    for file, content in (("cut.pt", raw[: len(raw) // 2]), ("text.pt", b"<html>"), ("text.safetensors", b"<html>"),
                          ("evil.pt", pickle.dumps({"state_dict": Evil(tmp_path / "trace")}, protocol=2))):
        (tmp_path / file).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{file} cannot be read without running code.*python -c"):
            registry.extractor(name, weights=str(tmp_path / file))
    torch.save({"state_dict": Evil(tmp_path / "trace")}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="cannot be read without running code"):
        registry.extractor(name, weights=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "trace").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds no named tensors"):
        registry.extractor(name, weights=str(tmp_path / "list.pt"))


RESNET, CLIP = tiny.resnet_state(), tiny.resnet_state(clip=True)


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
        registry.extractor(name, weights=str(tmp_path / "other.pt"))


@pytest.fixture
def vit(params, tmp_path):
    """A copy of the tiny ViT that a test may spoil."""
    return shutil.copytree(params("vit")["weights"], tmp_path / "vit")


def test_torch_files_stand_in_for_safetensors_but_run_nothing(vit, build):
    state = load_file(vit / "model.safetensors")
    (vit / "model.safetensors").unlink()
    torch.save(state, vit / "pytorch_model.bin")
    assert registry.extractor("vit", weights=str(vit)).fingerprint() == build("vit").fingerprint()
    torch.save(state | {"x": Evil(vit / "trace")}, vit / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot be loaded as ViTModel"):
        registry.extractor("vit", weights=str(vit))
    assert not (vit / "trace").exists()


def test_folders_that_are_refused(vit, params):
    right = hashlib.sha256((vit / "model.safetensors").read_bytes()).hexdigest()
    registry.extractor("vit", weights=str(vit), sha256=right)
    with pytest.raises(ValueError, match="sha256"):
        registry.extractor("vit", weights=str(vit), sha256="0" * 64)
    with pytest.raises(ValueError, match="holds a 'vit' network, expected 'vit_mae'"):
        registry.extractor("mae_vit", weights=str(vit))
    for missing in (str(vit / "nowhere"), "./nowhere", "a/b/c"):
        with pytest.raises(ValueError, match=r"does not exist; expected a folder with config\.json"):
            registry.extractor("vit", weights=missing)
    with pytest.raises(ValueError, match="is no folder"):
        registry.extractor("vit", weights=str(vit / "config.json"))
    state = load_file(vit / "model.safetensors")
    save_file({k: v for k, v in state.items() if "cls_token" not in k}, vit / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"are no ViTModel: they have no embeddings\.cls_token"):
        registry.extractor("vit", weights=str(vit))
    (vit / "model.safetensors").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="cannot be loaded as ViTModel"):
        registry.extractor("vit", weights=str(vit))
    (vit / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="has no weights"):
        registry.extractor("vit", weights=str(vit))
    (vit / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"has no preprocessor_config\.json"):
        registry.extractor("vit", weights=str(vit))


def test_another_depth_is_no_resnet50(params, tmp_path):
    folder = shutil.copytree(params("resnet50")["weights"], tmp_path / "resnet")
    config = json.loads((folder / "config.json").read_text()) | {"depths": [3, 4, 23, 3]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"blocks, expected bottleneck layers of \[3, 4, 6, 3\]"):
        registry.extractor("resnet50", weights=str(folder))


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
    registry.extractor("vit", revision="abc")
    (repo, options), = calls
    assert repo == "google/vit-base-patch16-224" and options["revision"] == "abc" and not options["local_files_only"]
    assert "model.safetensors" in options["allow_patterns"] and not any("bin" in p for p in options["allow_patterns"])
    with pytest.raises(ValueError, match=r"could not be fetched from the hub \(no such repository\)"):
        registry.extractor("vit", weights="nobody/nothing")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # what --offline sets
    registry.extractor("vit", weights="somebody/vit")
    assert calls[-1][1]["local_files_only"]
    with pytest.raises(ValueError, match="offline, and not in the local cache"):
        registry.extractor("vit", weights="nobody/nothing")
    calls.clear()
    registry.extractor("vit", weights=str(vit))
    assert not calls, "a folder is never looked up"


@pytest.mark.parametrize("name", tiny.SETTINGS)
def test_a_missing_package_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=rf"{name} needs the package transformers.*pip install -e '\.\[features\]'"):
        registry.extractor(name)


# -- suites ----------------------------------------------------------------------------------------------------
def test_names_and_parameters_are_checked():
    with pytest.raises(UnknownName, match='unknown extractor "clip_vitt". Did you mean "clip_vit"'):
        registry.check("clip_vitt")
    with pytest.raises(UnknownName, match='unknown parameter "weight". Did you mean "weights"'):
        registry.check("vit", {"weight": "x"})
    with pytest.raises(ValueError, match="vit: input_size: .*integer; got '64'"):
        registry.check("vit", {"input_size": "64"})
    assert registry.check("vit", {"weights": "x", "input_size": 64, "revision": None}).name == "vit"


@pytest.mark.parametrize("written, name, given", [
    ("vit", "vit", {}),
    ("{name: clip_resnet50, weights: RN50.pt, input_size: 64}", "clip_resnet50",
     {"weights": "RN50.pt", "input_size": 64}),
])
def test_a_suite_names_its_extractor(written, name, given, tmp_path):
    entry = suite_with(written, tmp_path).extractor
    assert (entry.name, entry.params) == (name, given)


def test_the_readmes_lines_are_ones_that_a_suite_takes(tmp_path):
    lines = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
             if line.startswith("extractor:")]
    named = [suite_with(line.removeprefix("extractor:"), tmp_path).extractor.name for line in lines]
    assert named == ["efficientnet_lite0", "clip_vit", "clip_resnet50"]


def test_list_names_every_extractor_with_its_first_line(capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out.split("extractors:")[1]
    assert all(f"  {name} " in listed for name in NAMES)


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
    source = ROOT / "benchmarks" / "suites" / "celeba_subsets.yaml"
    lines = source.read_text(encoding="utf-8").splitlines()
    lines = [f"extractor: {extractor}" if line.startswith("extractor:") else line for line in lines]
    (folder / "own.yaml").write_text("\n".join(lines), encoding="utf-8")
    return load_suite(str(folder / "own.yaml"))
