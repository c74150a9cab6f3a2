"""Training many GANs side by side, in turns, so that all have seen about as many images at any time."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from dirbench.benchmarks.data.attributes import DRAWN
from dirbench.benchmarks.data.image_set import Rows
from dirbench.benchmarks.data.subsets import SUBSETS, lacking
from dirbench.benchmarks.running.process import use_one_thread
from dirbench.benchmarks.training.config import GanConfig
from dirbench.benchmarks.training.data import boosting_weights, rendered, seeds
from dirbench.benchmarks.training.data_zoo import CelebASource
from dirbench.benchmarks.training.distributed import Group
from dirbench.benchmarks.training.export import export_zoo
from dirbench.benchmarks.training.gan import train_gan
from dirbench.benchmarks.training.oracles import train_oracle
from dirbench.benchmarks.training.shared_trainer import trainer_for
from dirbench.oracles.networks.classifier import RESOLUTION, load_oracle
from dirbench.results.artifacts.locks import Timeout, lock

JUDGE_SEED, JUDGE_ROUNDS = 303, 8
MINI_IMAGES = 212_000  # what each GAN of the mini zoo sees


def seen(name: str, out_dir: Path) -> int:
    """Images that ``name`` has been trained on at its last finished turn, 0 before the first."""
    path = Path(out_dir) / f"{name}.json"
    return json.loads(path.read_text())["seen"] if path.exists() else 0


def judge(folder: Path) -> nn.Sequential:
    """The frozen network that the last stage of the mini zoo's training is judged by, trained into ``folder`` if it is
    not there: the architecture of the shipped ``teacher``, from a seed and from renders that no shipped oracle has."""
    path = Path(folder) / "teacher.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path.with_suffix(".lock")):  # the first worker trains it, the others wait
        if not path.exists():
            _say(f"training the judge into {path}")
            train_oracle("teacher", path.parent, JUDGE_ROUNDS, JUDGE_SEED)
    network = load_oracle(str(path)).network
    assert isinstance(network, nn.Sequential)  # as both shipped architectures are
    return network


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _take_turn(name: str, out_dir: Path, images: int, slice_images: int, device: str, config: GanConfig,
               compiled: bool, source: CelebASource | None = None, group: Group | None = None) -> None:
    if source is None:
        data: Tensor | Rows
        data, labels = rendered(name, resolution=config.resolution, cache=out_dir.parent / "data")
        names = DRAWN
    else:
        found = source(name)  # reads the whole attribute list
        data, labels, names = found.images, found.labels, found.names
    differing = {attribute for pairs in SUBSETS.values() for attribute, _ in pairs}
    weights = boosting_weights(labels[:, [i for i, a in enumerate(names) if a in differing]], config.boost_floor)
    until = min(images, seen(name, out_dir) + slice_images)
    judged = source is None and config.resolution == RESOLUTION and until > config.judged_from
    trainer = train_gan(name, seeds(name)[1], out_dir, data, device, until=until, config=config, compiled=compiled,
                        log=_say, kind=trainer_for(group), weights=weights,
                        judge=judge(out_dir.parent / "judge") if judged else None)
    if not trainer.leads:
        return
    path = out_dir / f"{name}.json"
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(dict(seen=trainer.seen)))
    os.replace(part, path)


def _work(names: Sequence[str], out_dir: Path, images: int, slice_images: int, stop_at: float | None, device: str,
          config: GanConfig, compiled: bool, source: CelebASource | None = None) -> None:
    use_one_thread()
    while stop_at is None or time.time() < stop_at:
        # Read anew in each round: another worker may have finished a turn meanwhile.
        counts = sorted((seen(name, out_dir), name) for name in names)
        waiting = [name for count, name in counts if count < images]
        if not waiting:
            return
        for name in waiting:
            try:
                with lock(out_dir / f"{name}.lock", timeout=0):
                    _take_turn(name, out_dir, images, slice_images, device, config, compiled, source)
                    break
            except Timeout:  # another worker has it
                continue
        else:
            time.sleep(5)  # all that are left are in other hands


def _work_together(names: Sequence[str], out_dir: Path, images: int, slice_images: int, stop_at: float | None,
                   device: str, config: GanConfig, compiled: bool, source: CelebASource | None, group: Group) -> None:
    """The processes of ``group`` train one GAN at a time, all of them the same."""
    while True:
        group.wait()  # the last turn's count is written
        waiting = sorted((seen(name, out_dir), name) for name in names)
        if waiting[0][0] >= images:
            return
        _take_turn(waiting[0][1], out_dir, images, slice_images, device, config, compiled, source, group)


def train_zoo(only: Sequence[str] | None = None, images: int = MINI_IMAGES, out: Path = Path(".training"),
              device: str = "cpu", workers: int = 1, *, slice_images: int = 10_000, minutes: float | None = None,
              config: GanConfig | None = None, compiled: bool = False, source: CelebASource | None = None,
              group: Group | None = None) -> None:
    """Train the mini zoo's GANs (``only`` some, or all) until each has seen ``images``, the one behind most next.

    A turn is ``slice_images`` images; ``workers`` processes of one thread each take turns; after ``minutes`` no
    new turn begins. Stop it at will and call it again: it goes on from the checkpoints in ``out``/mini, and the
    result does not depend on interruptions, turns or workers.

    Past ``config.judged_from`` images the rendered faces' own classifier judges too (see ``judge``); with a ``source``
    there is no such stage.

    When all are done their weights are in ``out``/zoo_mini, a zoo that suites can name by its folder. With a
    ``source`` the images are its own, and "mini" above is its name. The processes of a ``group`` share each batch.

    Raises:
        KeyError: an unknown name. ValueError: so few images that training would end at half resolution.
        RuntimeError: a worker failed (its own message is above).
    """
    names = tuple(only or SUBSETS)
    for name in names:
        lacking(name)
    config = config or GanConfig()
    if images <= config.half_images:
        raise ValueError(f"train-zoo: images={images} would end at half resolution, which the first "
                         f"{config.half_images} images are trained at; ask for more")
    zoo = "mini" if source is None else source.name
    folder = Path(out) / zoo
    folder.mkdir(parents=True, exist_ok=True)
    stop_at = None if minutes is None else time.time() + 60 * minutes
    arguments = (names, folder, images, slice_images, stop_at, device, config, compiled, source)
    if group is not None and group.world > 1:
        _work_together(*arguments, group)
    elif workers == 1:
        _work(*arguments)
    else:
        _share_work(workers, arguments)
    if all(seen(name, folder) >= images for name in names) and (group is None or group.leads):
        finished = [name for name in SUBSETS if seen(name, folder) >= images]  # those of earlier calls, too
        _say(f"weights and manifest: {export_zoo(Path(out), Path(out) / f'zoo_{zoo}', finished, source)}")


def _share_work(workers: int, arguments: tuple) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work, args=arguments) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    failed = sum(process.exitcode != 0 for process in processes)
    if failed:
        raise RuntimeError(f"train-zoo: {failed} of {workers} workers failed, see the messages above; run it again to "
                           "go on from the checkpoints")
