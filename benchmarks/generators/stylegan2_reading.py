"""Reading a StyleGAN2 state dict: sizes off the tensors, settings off what stands beside them, both compared."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dirbench.benchmarks.generators._layers import Sizes
from dirbench.benchmarks.generators.layouts import LAYOUTS, detect_layout, layout_of, to_ada
from dirbench.benchmarks.generators.noise import stand_ins
from dirbench.benchmarks.generators.said import Said, check_channels, check_start, flag, limit, positive
from dirbench.benchmarks.generators.stylegan2_layers import LOWPASS

State = Mapping[str, Tensor]
FAMILY = "StyleGAN2"
MAPPING_LR = ("mapping_kwargs.lr_multiplier", "lr_multiplier", "mapping_lr_mul", "mapping_lrmul", "lr_mlp",
              "mapping_lr")


def read(state: State, extras: Mapping[str, object] | None, clamp: float | None,
         mapping_lr: float | None) -> tuple[dict[str, Any], dict[str, Tensor], Said]:
    """(the network's arguments, its state in the ADA layout, what the file said) of a state in any layout.

    Args:
        clamp, mapping_lr: the caller's, which count before the file's; None for none.
    Raises:
        ValueError: names or shapes of no such network, or settings that contradict it or cannot be computed here.
    """
    said, layout = Said(extras, FAMILY), layout_of(state)
    if layout is None and "synthesis.b4.const" not in state:
        detect_layout(state)  # raises, naming what is near
    if layout is not None:
        state = to_ada(state, extras=extras)
    _refuse_other_architectures(state)
    said_clamp = said.take(("conv_clamp", "clamp"), limit, _usual_clamp(layout.clamp if layout else 256.0, said))
    said_lr = said.take(MAPPING_LR, positive, 0.01)
    settings = _sizes(state)
    settings |= {"clamp": said_clamp if clamp is None else clamp,
                 "mapping_lr": said_lr if mapping_lr is None else mapping_lr}
    _compare(said, settings, state)
    filled = _with_noise(state, settings, said)
    _check_shapes(filled, settings)
    for name, value in filled.items():
        if name.endswith("resample_filter") and not (value.shape == LOWPASS.shape and torch.allclose(
                value.float().cpu(), LOWPASS, atol=1e-4)):
            raise ValueError(f"{name} is not the (1, 3, 3, 1) low-pass, the only one applied here")
    return settings, filled, said


def _usual_clamp(layouts_own: float, said: Said) -> float:
    """The clamp where the file names none: ADA's class, whose ``synthesis_kwargs`` are a group, has none by itself."""
    unsaid = said.trained_here or (layouts_own == LAYOUTS["ada"].clamp and "synthesis_kwargs" in said.groups)
    return math.inf if unsaid else layouts_own


def _sides(state: State) -> list[int]:
    found = (re.fullmatch(r"synthesis\.b(\d{1,6})\.torgb\.weight", name) for name in state)
    return sorted(int(match[1]) for match in found if match)


def _refuse_other_architectures(state: State) -> None:
    """ValueError, by its name, for what has a StyleGAN2's names and is none of the skip architecture."""
    skips = [name for name in state if re.fullmatch(r"synthesis\.b\d+\.skip\.weight", name)]
    if skips:
        raise ValueError(f"this StyleGAN2 has the residual architecture (resnet: {skips[0]}); only the skip "
                         "architecture can be read")
    blocks = [name for name in state if re.fullmatch(r"synthesis\.b\d+\.conv1\.weight", name)]
    if len(_sides(state)) == 1 < len(blocks) and "synthesis.b4.torgb.weight" not in state:
        raise ValueError("this StyleGAN2 makes its image in the last block alone (architecture orig); only the skip "
                         "architecture can be read")


def _sizes(state: State) -> dict[str, Any]:
    """The arguments that tensors tell."""
    sizes, sides = Sizes(state, f"{FAMILY} (ADA layout)"), _sides(state)
    if 4 not in sides:
        raise ValueError(f"{FAMILY} state dict: synthesis.b4.torgb.weight is missing; only the skip architecture in "
                         "the ADA layout can be read")
    c_dim = embed = 0
    if joint := "mapping.label_weight" in state:
        c_dim, embed = sizes.shape("mapping.label_weight", 2)
    elif "mapping.embed.weight" in state:
        embed, c_dim = sizes.shape("mapping.embed.weight", 2)
    layers = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in state)
    hidden, n_inputs = sizes.shape("mapping.fc0.weight", 2)
    check_start(sizes.shape("synthesis.b4.const", 3), FAMILY, "the constant that it starts from", 4)
    for name in (name for name in state if name.endswith("noise_const")):
        check_start(sizes.shape(name, 2), FAMILY, name)
    return {"z_dim": n_inputs - embed, "w_dim": sizes.shape("synthesis.b4.torgb.affine.weight", 2)[1],
            "c_dim": c_dim, "joint": joint, "resolution": sides[-1], "mapping_layers": layers,
            "channels": {side: sizes.shape(f"synthesis.b{side}.torgb.weight", 4)[1] for side in sides},
            "mapping_hidden": hidden if layers > 1 else None, "mapping_embed": embed or None,
            "image_channels": check_channels(len(state["synthesis.b4.torgb.weight"]), FAMILY)}


def _compare(said: Said, settings: Mapping[str, Any], state: State) -> None:
    """ValueError where the file tells of another network than its weights, or of one that is not computed here."""
    classes = said.take(("c_dim", "label_size", "label_dim", "n_classes", "num_classes"), _count, None)
    if classes and not settings["c_dim"]:
        raise ValueError(f"{FAMILY}: the checkpoint says that it has {classes} classes, but its class embedding is "
                         "missing (mapping.embed, or mapping.label_weight): it was dropped when the file was written, "
                         "and without it the network is another one. Write it again with the embedding")
    said.size(("c_dim", "label_size", "label_dim", "n_classes", "num_classes"), settings["c_dim"], "classes")
    said.size(("z_dim", "z_space_dim", "style_dim", "latent", "latent_size"), settings["z_dim"], "numbers of z")
    said.size(("w_dim", "w_space_dim", "dlatent_size"), settings["w_dim"], "numbers of w")
    said.size(("img_resolution", "resolution", "size"), settings["resolution"], "pixels a side")
    said.size(("img_channels", "image_channels", "num_channels"), settings["image_channels"], "image channels")
    said.size(("mapping_kwargs.num_layers", "mapping_layers", "n_mlp"), settings["mapping_layers"], "mapping layers")
    if settings["c_dim"]:
        said.size("mapping_kwargs.embed_features", settings["mapping_embed"], "numbers of the class embedding")
    if settings["mapping_layers"] != 1:
        said.size(("mapping_kwargs.layer_features", "mapping_fmaps"), settings["mapping_hidden"], "hidden features")
    said.only(("architecture", "arch"), "skip", "stylegan2", None)
    said.only(("activation", "mapping_kwargs.activation", "nonlinearity", "mapping_nonlinearity"), "lrelu",
              "leaky_relu", "fused_lrelu", None)
    said.only(("resample_filter", "resample_kernel", "blur_kernel"), [1, 3, 3, 1], None)
    said.only("kernel_size", 3)
    said.only("noise_type", "spatial")
    for names in ("use_wscale", "demodulate", "const_input", "normalize_z", "normalize_latents", "repeat_w"):
        said.only(names, True)
    said.only("final_tanh", False)
    said.skip("num_fp16_res", "use_fp16", "fp16_channels_last", "channels_last", "fused_modconv", "fused_modulate",
              "fused_modconv_default", "mapping_kwargs.w_avg_beta", "w_avg_beta", "w_moving_decay", "channel_base",
              "channel_max", "channel_multiplier", "channels", "fmaps_base", "fmaps_max", "fmap_base", "fmap_max",
              "mapping_kwargs.embed_features", "mapping_kwargs.layer_features", "mapping_fmaps", "num_ws",
              "mapping_kwargs.num_ws", "mapping_hidden", "mapping_embed", "randomize_noise", "synthesis_layer",
              "mapping_kwargs.z_dim", "mapping_kwargs.c_dim", "mapping_kwargs.w_dim", "joint")
    if said.take("use_noise", flag, None) is not None:
        said.only("use_noise", *((True, 1) if any("noise_strength" in name for name in state) else (False, 0, None)))
    if not settings["c_dim"] and not said.says(("z_dim", "z_space_dim", "style_dim", "latent", "latent_size")) \
            and settings["z_dim"] > settings["w_dim"]:
        said.note(f"z has {settings['z_dim']} numbers, more than the {settings['w_dim']} of w: if the network has "
                  "classes, its class embedding is missing from the file")


def _count(value: Any) -> int:
    """A number of classes, None and False for none."""
    return int(value or 0)


def _with_noise(state: State, settings: Mapping[str, Any], said: Said) -> dict[str, Tensor]:
    """``state`` with noise constants and strengths, where a file has none at all, or none of the constants."""
    convs = [(side, f"synthesis.b{side}.{conv}") for side in settings["channels"]
             for conv in ("conv0", "conv1")[side == 4:]]
    places = {(f"{conv}.noise_const", f"{conv}.noise_strength"): ((side, side), ()) for side, conv in convs}
    added, sentence = stand_ins(state, places)
    if sentence:
        said.note(sentence)
    return {**state, **added}


def _check_shapes(state: State, settings: Mapping[str, Any]) -> None:
    """ValueError unless tensors whose shape is a product of sizes have it: sizes that lie would cost all memory."""
    channels, w_dim, depth = settings["channels"], settings["w_dim"], settings["mapping_layers"]
    wanted: dict[str, tuple[int, ...]] = {}
    hidden, features = len(state["mapping.fc0.weight"]), state["mapping.fc0.weight"].shape[1]
    for i in range(depth):
        wanted[f"mapping.fc{i}.weight"] = (w_dim if i == depth - 1 else hidden, features)
        features = hidden
    for side, width in channels.items():
        block, below = f"synthesis.b{side}", channels.get(side // 2)
        wanted[f"{block}.torgb.affine.weight"] = (width, w_dim)
        for conv, n_in in (("conv0", below), ("conv1", width)):
            if n_in is not None:
                wanted |= {f"{block}.{conv}.weight": (width, n_in, 3, 3), f"{block}.{conv}.noise_const": (side, side),
                           f"{block}.{conv}.affine.weight": (n_in, w_dim)}
    for name, shape in wanted.items():
        if name in state and tuple(state[name].shape) != shape:
            raise ValueError(f"StyleGAN2 state dict: size mismatch for {name}: {tuple(state[name].shape)}, but the "
                             f"other tensors ask for {shape}")
    absent = [name for name in wanted if name not in state]
    if absent:
        raise ValueError(f"StyleGAN2 state dict: missing {absent[:4]}; only the skip architecture in the ADA layout "
                         "can be read")
