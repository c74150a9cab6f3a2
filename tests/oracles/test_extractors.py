"""Feature extractors: one contract for all, numbers against independent computations, refusals in sentences."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_extractors as tiny
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from dirbench.oracles.networks.preprocessing import from_settings, resample
from dirbench.plugins import EXTRACTORS

pytestmark = pytest.mark.numeric
NAMES = list(EXTRACTORS.load_all()[0])


# -- one contract ----------------------------------------------------------------------------------------------
def test_every_file_loads_and_every_extractor_of_the_papers_is_there():
    assert EXTRACTORS.load_all()[1] == {}
    assert set(NAMES) == {"efficientnet_lite0", *tiny.SETTINGS, *tiny.FROM_FILES}


@pytest.mark.parametrize("name", NAMES)
def test_features_are_a_function_of_each_image_alone(name):
    extractor, images = tiny.build(name), tiny.noise(4, 40)
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
def test_gradients_reach_every_image_and_no_weight(name):
    extractor, images = tiny.build(name), tiny.noise(2, 40).requires_grad_()
    extractor.features(images).square().sum().backward()
    assert images.grad.isfinite().all() and (images.grad.abs().amax((2, 3)) > 0).all()
    assert not any(p.requires_grad or p.grad is not None for p in extractor.parameters())
    assert not extractor.training


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_slopes(name):
    """A kink between the two sides spoils a slope: the sides are near, in float64, but for ViTs, which have none."""
    dtype, size = (torch.float32, 2e-3) if "vit" in name else (torch.float64, 1e-6)
    extractor = copy.deepcopy(tiny.build(name)).to(dtype)
    images, step = tiny.noise(1, 40).to(dtype).requires_grad_(), tiny.noise(1, 40, seed=1).to(dtype)
    readout = torch.linspace(-1, 1, extractor.width, dtype=dtype)
    (gradient,) = torch.autograd.grad((extractor.features(images) @ readout).sum(), images)
    with torch.no_grad():
        up, down = (extractor.features(images + sign * size * step) @ readout for sign in (1, -1))
    slope = ((up - down) / (2 * size)).item()
    assert (gradient * step).sum().item() == pytest.approx(slope, rel=0.1, abs=1e-2 * gradient.norm().item())


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_maps_coarse_last_with_gradients(name):
    extractor, images = tiny.build(name), tiny.noise(2, 40).requires_grad_()
    maps = extractor.maps(images)
    sides = [m.shape[-1] for m in maps]
    assert len(maps) >= 2 and sides == sorted(sides, reverse=True)
    assert all(m.ndim == 4 and len(m) == 2 and m.shape[2] == m.shape[3] for m in maps)
    (gradient,) = torch.autograd.grad(maps[-1].square().sum(), images)
    assert (gradient.abs().amax((1, 2, 3)) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_maps_lie_as_the_image_does(name):
    """A change in the lower right corner changes the map there most: rows are rows, and columns columns."""
    extractor, images = tiny.build(name), tiny.noise(1, 64)
    changed = images.clone()
    changed[..., 48:, 48:] *= -1
    difference = (extractor.maps(changed)[0] - extractor.maps(images)[0]).abs().sum(1)[0]
    rows, columns = difference.sum(1), difference.sum(0)
    half = len(rows) // 2
    assert rows[half:].sum() > rows[:half].sum() and columns[half:].sum() > columns[:half].sum()
    upper_right, lower_left = difference[:half, half:].sum(), difference[half:, :half].sum()
    assert difference[half:, half:].sum() > max(upper_right, lower_left)


@pytest.mark.parametrize("name", NAMES)
def test_fingerprints_are_of_weights_and_preprocessing(name, tmp_path):
    extractor = tiny.build(name)
    given = tiny.params(name)
    if "weights" in given:  # the same elsewhere is the same
        source, copy = Path(given["weights"]), tmp_path / "copy"
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
        given["weights"] = str(copy)
    same = EXTRACTORS.build(name, **given)
    assert same.fingerprint() == extractor.fingerprint()
    assert EXTRACTORS.build(name, **given | {"input_size": 96}).fingerprint() != extractor.fingerprint()
    with torch.no_grad():
        next(t for t in same.state_dict().values() if t.is_floating_point() and t.numel() > 3).mul_(1.001)
    assert same.fingerprint() != extractor.fingerprint()


@pytest.mark.parametrize("name", NAMES)
def test_other_input_sizes_and_what_is_no_image(name):
    bigger = EXTRACTORS.build(name, **tiny.params(name) | {"input_size": 96})
    assert bigger.features(tiny.noise(2, 40)).shape == (2, bigger.width)
    with pytest.raises(ValueError, match=rf"{name}: input_size is 65, expected a multiple of \d+"):
        EXTRACTORS.build(name, **tiny.params(name) | {"input_size": 65})
    with pytest.raises(ValueError, match=rf"{name}: expected float images \[N, 3, H, W\]"):
        bigger.features(torch.zeros(2, 1, 8, 8))


# -- numbers ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, size", [("vit", 20), ("vit", 50), ("clip_vit", 20), ("clip_vit", 50)])
def test_preprocessing_is_pillows_resize_and_the_models_own_settings(name, size):
    from PIL import Image
    settings = tiny.SETTINGS[name]
    images = tiny.noise(2, size)
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
    torch.testing.assert_close(plain(tiny.noise(1, 32)), tiny.noise(1, 32) / 2 + 0.5)
    for wrong, words in (({"resample": 1}, "resample 1, expected 2"), ({"size": None}, "size None"),
                         ({"size": {"height": 32, "width": 16}}, "one side of a square"),
                         ({"image_std": [0, 1, 1]}, "deviations above 0"), ({"image_mean": None}, "image_mean None")):
        with pytest.raises(ValueError, match=words):
            from_settings(base | wrong, None, 8, "vit")


def test_torchvision_resnet_agrees_with_transformers(tmp_path):
    folder = Path(tiny.params("resnet50")["weights"])
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
    ours = EXTRACTORS.build("resnet50_torchvision", weights=str(tmp_path / "renamed.safetensors"), input_size=64)
    theirs = transformers.ResNetModel.from_pretrained(folder).eval()
    images = tiny.noise(3, 64)
    with torch.no_grad():
        expected = theirs(pixel_values=ours.preprocess(images), output_hidden_states=True)
        torch.testing.assert_close(ours.features(images), expected.pooler_output.flatten(1), rtol=1e-4, atol=1e-4)
        for found, theirs_map in zip(ours.maps(images), expected.hidden_states[1:], strict=True):
            torch.testing.assert_close(found, theirs_map, rtol=1e-4, atol=1e-4)


def test_advbn_is_a_resnet_with_one_of_its_two_norms(tmp_path):
    clean, other = tiny.resnet_state(), tiny.resnet_state(seed=1)
    mixed = {k: other[k] if k.startswith(("layer3", "layer4")) and (".bn" in k or "downsample.1" in k) else v
             for k, v in clean.items()}  # before the cut, norms are always the clean ones
    images = tiny.noise(2, 64)
    for norms, state in (("clean", clean), ("adversarial", mixed)):
        torch.save(state, tmp_path / "plain.pt")
        expected = EXTRACTORS.build("resnet50_torchvision", weights=str(tmp_path / "plain.pt"), input_size=64)
        found = EXTRACTORS.build("advbn_resnet50", norms=norms, **tiny.params("advbn_resnet50"))
        assert torch.equal(found.features(images), expected.features(images))
    plain = EXTRACTORS.build("advbn_resnet50", weights=str(tmp_path / "plain.pt"), input_size=64)
    assert torch.equal(plain.features(images), expected.features(images)), "torchvision's layout"
    with pytest.raises(ValueError, match='norms is "adversarial", but .* has no adv_bn'):
        EXTRACTORS.build("advbn_resnet50", weights=str(tmp_path / "plain.pt"), norms="adversarial")
    with pytest.raises(ValueError, match="norms: .*'noisy'"):
        EXTRACTORS.build("advbn_resnet50", weights="x.pt", norms="noisy")


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


def test_clip_resnet_is_the_papers():
    extractor, images = tiny.build("clip_resnet50"), tiny.noise(3, 64)
    state = {k: v.double() if v.is_floating_point() else v for k, v in tiny.resnet_state(clip=True).items()}
    expected = clip_reference(state, extractor.preprocess(images).double())
    torch.testing.assert_close(extractor.features(images).double(), expected, rtol=1e-4, atol=1e-4)


def test_transformers_extractors_are_their_models():
    transformers = pytest.importorskip("transformers", reason="the extra `features` is not installed")
    images = tiny.noise(2, 32)
    with torch.no_grad():
        vit = transformers.ViTForImageClassification.from_pretrained(tiny.params("vit")["weights"]).eval()
        logits = vit(pixel_values=tiny.build("vit").preprocess(images)).logits
        torch.testing.assert_close(vit.classifier(tiny.build("vit").features(images)), logits, rtol=1e-4, atol=1e-5)

        mae = transformers.ViTMAEModel.from_pretrained(tiny.params("mae_vit")["weights"], mask_ratio=0.0).eval()
        shuffled = torch.rand(2, 16, generator=torch.Generator().manual_seed(0))
        expected = mae(pixel_values=tiny.build("mae_vit").preprocess(images), noise=shuffled).last_hidden_state[:, 0]
        torch.testing.assert_close(tiny.build("mae_vit").features(images), expected, rtol=1e-4, atol=1e-5)

        clip = transformers.CLIPModel.from_pretrained(tiny.params("clip_vit")["weights"]).eval()
        found = clip.get_image_features(pixel_values=tiny.build("clip_vit").preprocess(images))
        expected = getattr(found, "pooler_output", found)
        assert tiny.build("clip_vit").width == 12
        torch.testing.assert_close(tiny.build("clip_vit").features(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape, size, mode", [((32, 32), 64, "bilinear"), ((48, 32), 32, "bilinear"),
                                               ((17, 17), 40, "bicubic"), ((64, 40), 24, "bicubic")])
def test_resampling_by_matrices_is_interpolation_and_has_its_gradient(shape, size, mode):
    images = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():  # what it keeps for later calls must serve gradients, too
        resample(images, size, mode)
    found = []
    for method in (resample, lambda x, n, m: F.interpolate(x, size=(n, n), mode=m, antialias=True)):
        x = images.clone().requires_grad_()
        image = method(x, size, mode)
        found.append((image.detach(), *torch.autograd.grad(image.square().sum(), x)))
    for here, there in zip(*found):
        assert torch.allclose(here, there, rtol=1e-4, atol=1e-4 * there.abs().max())
