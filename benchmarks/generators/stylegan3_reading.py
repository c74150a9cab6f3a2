"""Reading a StyleGAN3 state dict: sizes off the tensors and names, settings off what stands beside them."""

from __future__ import annotations

import re
from typing import Any

from dirbench.benchmarks.generators._layers import Sizes, State
from dirbench.benchmarks.generators.said import Said, check_channels, flag, limit, positive, whole

FAMILY = "StyleGAN3"
CLASSES = ("c_dim", "label_dim", "label_size", "n_classes", "num_classes")
NAME = r"synthesis\.(L(\d{1,3})_(\d{1,9})_(\d{1,9}))\.weight"


def _layers(state: State) -> list[tuple[int, str]]:
    """(size, name) of the layers in their order, the image's last."""
    found = sorted((int(m[2]), int(m[3]), m[1]) for m in (re.fullmatch(NAME, name) for name in state) if m)
    return [(size, f"synthesis.{name}") for _, size, name in found]


def layer_sizes(state: State) -> list[int]:
    """Sides of the layers' outputs, as their names have them."""
    return [size for size, _ in _layers(state)]


def lowpass_names(state: State) -> list[str]:
    """Names of the low-passes of all layers but the image's."""
    return [f"{name}.{which}_filter" for _, name in _layers(state)[:-1] for which in ("up", "down")]


def read(state: State, said: Said) -> dict[str, Any]:
    """The network's arguments.

    Raises:
        ValueError: names are missing, or sizes do not fit each other or what the file says.
    """
    sizes, layers = Sizes(state, FAMILY), _layers(state)
    n = sizes.count(r"synthesis\.L(\d{1,3})_\d{1,9}_\d{1,9}\.weight") - 1
    if n < 2 or len(layers) != n + 1:
        raise ValueError(f"StyleGAN3 state dict: {len(layers)} layers, {n + 1} numbers, expected at least 3 layers "
                         "of different numbers")
    names = [name for _, name in layers]
    widths = [sizes.shape(f"{name}.weight", 4)[0] for name in names]
    embed, n_classes = sizes.shape("mapping.embed.weight", 2) if "mapping.embed.weight" in state else (0, 0)
    settings = {
        "first_cutoff": said.take("first_cutoff", positive, 2.0),
        "first_stopband": said.take("first_stopband", positive, 2**2.1),
        "last_stopband_rel": said.take("last_stopband_rel", positive, 2**0.3),
        "conv_kernel": sizes.shape(f"{names[0]}.weight", 4)[2],
        "clamp": said.take(("conv_clamp", "clamp"), limit, 256.0),
        "output_scale": said.take("output_scale", positive, 0.25),
        "mapping_lr": said.take(("mapping_lr", "mapping_kwargs.lr_multiplier", "lr_multiplier"), positive, 0.01),
        "z_dim": sizes.shape("mapping.fc0.weight", 2)[1] - embed, "n_classes": n_classes,
        "w_dim": sizes.shape("synthesis.input.affine.weight", 2)[1], "resolution": layers[-1][0],
        "channels": widths[:-1], "image_channels": check_channels(widths[-1], FAMILY),
        "mapping_layers": sizes.count(r"mapping\.fc(\d{1,3})\.weight")}
    stored = [name in state for name in lowpass_names(state)]
    if any(stored):
        settings |= _resampling(state, sizes, layers, said)
    else:
        settings |= {"margin_size": said.take("margin_size", whole, 10),
                     "filter_size": said.take("filter_size", whole, 6),
                     "num_critical": said.take("num_critical", whole, 2),
                     "radial": said.take(("use_radial_filters", "radial"), flag, settings["conv_kernel"] == 1)}
        said.note("the file has no low-passes: those of its schedule, as configuration "
                  f"{'R' if settings['radial'] else 'T'} has them, are used")
    _compare(said, settings)
    return settings


def _resampling(state: State, sizes: Sizes, layers: list[tuple[int, str]], said: Said) -> dict[str, Any]:
    """What the stored low-passes tell: margin, taps, which are radial and how many layers are critically sampled."""
    names = [name for _, name in layers]
    if any(f"{name}.{part}_filter" not in state for name in names[:-1] for part in ("up", "down")):
        raise ValueError("StyleGAN3 state dict: up_filter or down_filter is missing in a layer before the last")
    up_taps = [sizes.shape(f"{name}.up_filter", 1)[0] for name in names[:-1]]
    downs = [state[f"{name}.down_filter"] for name in names[:-1]]
    down_taps, radials = [len(down) if down.ndim else 0 for down in downs], [down.ndim == 2 for down in downs]
    rate = float(layers[-1][0])  # the image's; going down, a layer's taps say by how much it enlarges
    for up, down in zip(up_taps, down_taps, strict=True):
        rate *= down / max(up, 1)
    margin, filter_size = (layers[0][0] - rate) / 2, down_taps[0] // 2
    if not (0 <= margin <= layers[0][0] and 1 <= filter_size <= 64):
        raise ValueError(f"StyleGAN3 state dict: upsampling filters of {up_taps} taps and downsampling filters of "
                         f"{down_taps} taps do not lead from {layers[0][0]} to {layers[-1][0]} pixels")
    return {"margin_size": round(margin), "filter_size": filter_size, "radial": any(radials),
            "num_critical": said.take("num_critical", whole, radials.count(False) if any(radials) else 2)}


def _compare(said: Said, settings: dict[str, Any]) -> None:
    """ValueError where the file tells of another network than its weights, or of one that is not computed here."""
    classes = said.take(CLASSES, lambda value: int(value or 0), 0)
    if classes and not settings["n_classes"]:
        raise ValueError(f"{FAMILY}: the checkpoint says that it has {classes} classes, but its class embedding "
                         "(mapping.embed) is missing: it was dropped when the file was written, and without it the "
                         "network is another one. Write it again with the embedding")
    for names, key, meaning in (
            (CLASSES, "n_classes", "classes"), ("z_dim", "z_dim", "numbers of z"),
            ("w_dim", "w_dim", "numbers of w"), (("img_resolution", "resolution"), "resolution", "pixels a side"),
            (("img_channels", "image_channels"), "image_channels", "image channels"),
            (("mapping_kwargs.num_layers", "mapping_layers"), "mapping_layers", "mapping layers"),
            ("conv_kernel", "conv_kernel", "taps of a kernel"), ("margin_size", "margin_size", "pixels of margin"),
            ("filter_size", "filter_size", "taps of a low-pass for each unit of its factor")):
        said.size(names, settings[key], meaning)
    said.size("num_layers", len(settings["channels"]), "layers before the image's")
    if said.take(("use_radial_filters", "radial"), flag, settings["radial"]) is not settings["radial"]:
        raise ValueError(f"{FAMILY}: the checkpoint says use_radial_filters={not settings['radial']}, but its "
                         f"downsampling filters are {'radial' if settings['radial'] else 'separable'}")
    said.only("lrelu_upsampling", 2)
    said.only(("activation", "mapping_kwargs.activation"), "lrelu")
    said.skip("channels", "channel_base", "channel_max", "magnitude_ema_beta", "num_fp16_res", "use_fp16",
              "mapping_kwargs.w_avg_beta", "mapping_kwargs.num_ws")
