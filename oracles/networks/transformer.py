"""What extractors from the package ``transformers`` share: finding the files, checking them, loading, normalising."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dirbench.fingerprint import state_fingerprint
from dirbench.oracle import FeatureExtractor
from dirbench.oracles.networks.checkpoints import check_sha256
from dirbench.oracles.networks.classifier import check_images
from dirbench.oracles.networks.preprocessing import from_settings

_SETTINGS = ("config.json", "preprocessor_config.json")
_SAFE = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
_TORCH = ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json")


class TransformersExtractor(FeatureExtractor):
    """A network of ``transformers`` with its own preprocessor's size, resampling filter, mean and deviation.

    Weights come from safetensors; where a model has none, from a torch file read with ``weights_only``. A tensor that
    the network needs and the file has not is an error here, never a random start.

    Args:
        weights: a folder with config.json, preprocessor_config.json and the weights, or a hub id (default: ``hub_id``).
            A folder is never looked up on the hub; with ``--offline`` (``HF_HUB_OFFLINE``), hub ids come from the local
            cache only.
        input_size: side in pixels instead of the preprocessor's.
        revision: branch, tag or commit of a hub id.
        sha256: of the weight file (of all of them in the order of their names, if there are several).
    Raises:
        ValueError: ``transformers`` is not installed; files are missing, altered, or of another network.
    """

    hub_id: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]  # as config.json says

    def __init__(self, weights: str | None = None, input_size: int | None = None, revision: str | None = None,
                 sha256: str | None = None) -> None:
        super().__init__()
        transformers = _package(self.name)
        folder = fetch(self.hub_id if weights is None else weights, revision, self.name)
        settings, preprocessor = (_read_json(folder / name, self.name) for name in _SETTINGS)
        if settings.get("model_type") not in self.model_types:
            raise ValueError(f"extractor {self.name}: {folder} holds a {settings.get('model_type')!r} network, "
                             f"expected {' or '.join(map(repr, self.model_types))}")
        files = weight_files(folder, self.name)
        check_sha256(files, sha256, self.name)
        cls, options = self.architecture(transformers, settings)
        self.network: Any = _load(transformers, cls, options, folder, files, self.name)  # its class is the library's
        self.width, stride = self.sizes(self.network.config)
        self.preprocess = from_settings(preprocessor, input_size, stride, self.name)
        self._version = transformers.__version__
        self.eval().requires_grad_(False)

    @abstractmethod
    def architecture(self, transformers: ModuleType, settings: dict[str, Any]) -> tuple[type, dict[str, Any]]:
        """(class, keyword arguments of its ``from_pretrained``) for what config.json says. Raises ValueError."""

    @abstractmethod
    def sizes(self, config: Any) -> tuple[int, int]:
        """(width of the features, what the input's side must be a multiple of)."""

    def prepare(self, images: Tensor) -> Tensor:
        """Network inputs of ``images``. Raises ValueError for what is no image batch."""
        check_images(images, self.name)
        return self.preprocess(images)

    def fingerprint(self) -> str:
        """sha256 (hex) of weights, configuration, preprocessing and the version of ``transformers``."""
        config = {k: v for k, v in self.network.config.to_dict().items() if k != "_name_or_path"}
        return state_fingerprint(self, self.name, self.preprocess, self._version, json.dumps(config, sort_keys=True))


class PatchTransformer(TransformersExtractor):
    """A vision transformer on square patches; other input sizes than its own have position embeddings resampled."""

    def sizes(self, config: Any) -> tuple[int, int]:
        return config.hidden_size, config.patch_size

    def run(self, images: Tensor, **options: Any) -> Any:
        """The network's output for ``images``."""
        x = self.prepare(images)
        resampled = self.preprocess.size != self.network.config.image_size
        return self.network(pixel_values=x, interpolate_pos_encoding=resampled, **options)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Patch tokens [N, C, S, S] after each block, all of one resolution: the input's over the patch size."""
        side = self.preprocess.size // self.network.config.patch_size
        hidden = self.run(images, output_hidden_states=True).hidden_states[1:]
        return [tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side)) for tokens in hidden]


def fetch(weights: str, revision: str | None, who: str) -> Path:
    """The folder ``weights``, or the local copy of that hub id, brought here first unless offline.

    Raises:
        ValueError: neither a folder nor to be had from the hub.
    """
    folder = Path(weights).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or weights.startswith((".", "/", "~")) or weights.count("/") > 1:
        what = "is no folder" if folder.exists() else "does not exist"
        raise ValueError(f"extractor {who}: weights {weights} {what}; expected a folder with {', '.join(_SETTINGS)} "
                         "and the weights, or a hub id")
    from huggingface_hub import snapshot_download  # a dependency of transformers
    offline = any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
                  for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))

    def bring(patterns: tuple[str, ...]) -> Path:
        return Path(snapshot_download(weights, revision=revision, local_files_only=offline,
                                      allow_patterns=[*_SETTINGS, *patterns]))

    try:
        folder = bring(_SAFE)
        if not any(folder.glob("*.safetensors")):
            folder = bring(_TORCH)
    except Exception as error:  # the hub's client has errors of many families
        reason = "offline, and not in the local cache" if offline else str(error).strip().splitlines()[0]
        raise ValueError(f"extractor {who}: {weights} is no folder here and could not be fetched from the hub "
                         f"({reason}); give weights as a folder, or run once with a network and without --offline"
                         ) from error
    return folder


def weight_files(folder: Path, who: str) -> list[Path]:
    """The weight files of ``folder`` in the order of their names, safetensors before others. Raises ValueError."""
    for patterns in (_SAFE, _TORCH):
        if files := sorted({path for pattern in patterns[:2] for path in folder.glob(pattern)}):
            return files
    raise ValueError(f"extractor {who}: {folder} has no weights; expected model.safetensors or pytorch_model.bin")


def _package(who: str) -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise ValueError(f"extractor {who} needs the package transformers, which is not installed: "
                         "pip install -e '.[features]'") from error
    return transformers


def _read_json(path: Path, who: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"extractor {who}: {path.parent} has no {path.name}; it comes with the weights") from error
    except ValueError as error:
        raise ValueError(f"extractor {who}: {path} is not valid JSON ({error})") from error


def _load(transformers: ModuleType, cls: Any, options: dict[str, Any], folder: Path, files: list[Path],
          who: str) -> nn.Module:
    """The network in float32. Raises ValueError if a tensor is missing or of another shape."""
    try:
        with _quiet(transformers):
            network, info = cls.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, weights_only=True, dtype=torch.float32,
                use_safetensors=files[0].suffix == ".safetensors", **options)
    except Exception as error:  # whatever a damaged or foreign file sets off, the file is at fault
        raise ValueError(f"extractor {who}: the weights in {folder} cannot be loaded as {cls.__name__} "
                         f"({type(error).__name__}: {str(error).strip().splitlines()[0][:200]})") from error
    if missing := sorted(info["missing_keys"]):
        raise ValueError(f"extractor {who}: the weights in {folder} are no {cls.__name__}: they have no "
                         f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}")
    return network


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """No progress bar, and no report of tensors that are left aside: what matters of it is raised."""
    log = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()
