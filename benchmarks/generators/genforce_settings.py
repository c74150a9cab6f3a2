"""Constructor arguments of genforce's networks, compared with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dirbench.benchmarks.generators.said import Said, flag, whole

LABELS = ("label_size", "label_dim", "n_classes", "num_classes", "c_dim")


def compare_genforce(said: Said, settings: Mapping[str, Any]) -> None:
    """ValueError where a file tells of another network than its weights, or of one that is not computed here.

    Args:
        settings: the network's arguments as its weights have them.
    """
    family = said.family
    classes = said.take(LABELS, whole, None)
    if classes and not settings["n_classes"]:
        raise ValueError(f"{family}: the checkpoint says that it has {classes} classes, but its class embedding "
                         "(mapping.label_weight) is missing: it was dropped when the file was written, and without it "
                         "the network is another one. Write it again with the embedding")
    said.size(LABELS, settings["n_classes"], "classes")
    said.size(("z_space_dim", "z_dim"), settings["z_dim"], "numbers of z")
    said.size("resolution", settings["resolution"], "pixels a side")
    said.size("image_channels", settings["image_channels"], "image channels")
    if "w_dim" in settings:
        if not settings["n_classes"] and not said.says(("z_space_dim", "z_dim")) \
                and settings["z_dim"] > settings["w_dim"]:
            said.note(f"z has {settings['z_dim']} numbers, more than the {settings['w_dim']} of w: if the network has "
                      "classes, its class embedding is missing from the file")
        said.size(("w_space_dim", "w_dim"), settings["w_dim"], "numbers of w")
        said.size("mapping_layers", settings["mapping_layers"], "mapping layers")
        if settings["mapping_hidden"]:  # None with one layer, which has none
            said.size(("mapping_fmaps", "mapping_hidden"), settings["mapping_hidden"], "hidden features")
    for name in ("use_wscale", "const_input", "repeat_w", "normalize_z"):
        if said.take(name, flag, True) is False:
            raise ValueError(f"{family}: {name}=False is not supported")
    said.only("noise_type", "spatial")
    said.skip("mapping_fmaps", "mapping_hidden", "fmaps_base", "fmaps_max", "channels", "lower_outputs",
              "randomize_noise", "gan_type")
