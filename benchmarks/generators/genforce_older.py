"""Names of genforce's earlier networks (as InterFaceGAN and the first StyleGAN2 ports have them) in today's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

State = Mapping[str, Tensor]
KERNELS = ((3, 3), (1, 1))
# Today's name of each earlier one, by pattern; the weights themselves are the same numbers.
STYLES = (
    (r"(mapping\.dense\d+)\.(?:fc|linear|wscale)\.(weight|bias)", r"\1.\2"),
    (r"(synthesis\.(?:layer|output)\d+)\.style\.fc\.(weight|bias)", r"\1.style.\2"),
    (r"(synthesis\.layer0)\.first_layer", r"\1.const"),
    (r"(synthesis\.(?:layer|output)\d+)\.conv\.weight", r"\1.weight"),
    (r"(synthesis\.layer\d+)\.epilogue\.style_mod\.dense\.(?:linear|wscale)\.(weight|bias)", r"\1.style.\2"),
    (r"(synthesis\.layer\d+)\.epilogue\.(apply_noise\.weight|apply_noise\.noise|bias)", r"\1.\2"),
)


def todays_names(state: State) -> dict[str, Tensor]:
    """``state`` of a genforce StyleGAN or StyleGAN2 under today's names; any other comes back as it is.

    Kernels that were stored [k, k, in, out] become [out, in, k, k] (earlier StyleGAN1 stored its fused ones so).
    """
    marks = [name for name in state if name.startswith("mapping.dense0.") and name != "mapping.dense0.bias"]
    if not any(name in ("mapping.dense0.fc.weight", "mapping.dense0.linear.weight") for name in marks):
        return dict(state)
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if name == "truncation.truncation":  # psi of each row when it was saved: chosen by the caller here
            continue
        for pattern, today in STYLES:
            if re.fullmatch(pattern, name):
                name = re.sub(pattern, today, name)
                break
        kernel_first = value.ndim == 4 and value.shape[:2] in KERNELS and value.shape[2:] not in KERNELS
        if kernel_first and name.endswith(".weight"):
            value = value.permute(3, 2, 0, 1).contiguous()
        if name in out:
            raise ValueError(f"genforce state dict: two tensors are called {name}, one of them in an earlier way")
        out[name] = value
    return out


def pggan_names(state: State) -> dict[str, Tensor]:
    """``state`` of an earlier genforce PGGAN (layers from 1, one output) under today's; any other as it is."""
    if "layer1.conv.weight" not in state or "layer1.wscale.bias" not in state:
        return dict(state)
    n = sum(bool(re.fullmatch(r"layer\d+\.conv\.weight", name)) for name in state)
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        today = re.sub(r"\.conv\.(?=weight$)|\.wscale\.(?=bias$)", ".", name)
        if match := re.fullmatch(r"layer(\d+)\.(weight|bias)", today):
            today = f"layer{int(match[1]) - 1}.{match[2]}"
        elif match := re.fullmatch(r"output_\d+x\d+\.(weight|bias)", today):
            today = f"output{n // 2 - 1}.{match[1]}"
        out[today] = value
    return out
