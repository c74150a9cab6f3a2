"""What every generator family must do: one test, (clause x family). A new family is one line of ``FAMILIES``.

Instances are small golden files, read as a user's checkpoint would be. The clauses are those of ``check-generator``.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
import sys

import helpers
import pytest
import torch
from helpers import wrong_generators

from dirbench.benchmarks.contract import generator_use, generators, reading
from dirbench.benchmarks.contract.generators import check_generator
from dirbench.benchmarks.contract.reading import Source
from dirbench.benchmarks.contract.report import Fault
from dirbench.benchmarks.generators.biggan import BigGAN
from dirbench.benchmarks.generators.biggan_deep import BigGANDeep
from dirbench.benchmarks.generators.external_spec import load_any
from dirbench.benchmarks.generators.pggan import PGGAN
from dirbench.benchmarks.generators.planted import PlantedGenerator
from dirbench.benchmarks.generators.sngan import SNGAN
from dirbench.benchmarks.generators.stylegan1 import StyleGAN1
from dirbench.benchmarks.generators.stylegan2 import StyleGAN2
from dirbench.benchmarks.generators.stylegan3 import StyleGAN3
from dirbench.errors import NotApplicable
from dirbench.generator import Generator

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN
# Random golden weights, and no tanh at the end: only a trained network keeps near to [-1, 1].
FAR_OUT = {"stylegan2", "stylegan2-classes", "stylegan2-rosinality", "stylegan2-genforce", "stylegan1",
           "stylegan1-fused-classes", "pggan", "proggan"}


class Case:
    """A golden file and the family that reads it; ``settings`` are what the tensors do not say."""

    def __init__(self, cls: type[Generator], file: str, **settings: object) -> None:
        self.cls, self.file, self.settings = cls, file, settings

    @functools.cached_property
    def state(self) -> dict[str, torch.Tensor]:
        return torch.load(GOLDEN / f"{self.file}.pt", weights_only=True)["state_dict"]

    def read(self, state: dict[str, torch.Tensor] | None = None) -> Generator:
        gan = self.cls.from_state_dict(self.state if state is None else state, **self.settings).freeze()
        if gan.n_classes and gan.label is None:
            gan.label = 1
        return gan

    @functools.cached_property
    def gan(self) -> Generator:
        """Shared by the clauses, which leave it as it is."""
        return self.read()

    @functools.cached_property
    def source(self) -> Source:
        return Source(self.state, self.read, self.gan)


FAMILIES = {
    "biggan": Case(BigGAN, "generators/biggan"),
    "biggan-deep": Case(BigGANDeep, "generators/biggan_deep_hf"),
    "sngan": Case(SNGAN, "generators/sngan"),
    "stylegan2": Case(StyleGAN2, "stylegan2_ada"),
    "stylegan2-classes": Case(StyleGAN2, "stylegan2_ada_cond", clamp=1.5, mapping_lr=0.02),
    "stylegan2-rosinality": Case(StyleGAN2, "stylegan2_rosinality", clamp=math.inf),
    "stylegan2-genforce": Case(StyleGAN2, "generators/genforce_stylegan2", clamp=math.inf),
    "stylegan3-t": Case(StyleGAN3, "generators/stylegan3_t"),
    "stylegan3-r": Case(StyleGAN3, "generators/stylegan3_r", clamp=1.0),
    "stylegan1": Case(StyleGAN1, "generators/genforce_stylegan"),
    "stylegan1-fused-classes": Case(StyleGAN1, "generators/genforce_stylegan_fused_label", fused_scale=True),
    "pggan": Case(PGGAN, "generators/genforce_pggan"),
    "pggan-fused-classes": Case(PGGAN, "generators/genforce_pggan_fused_label", n_classes=4),
    "proggan": Case(PGGAN, "generators/proggan"),
}


def what_is_absent(gan: Generator) -> set:
    """The clauses that may say "not applicable" for ``gan``."""
    absent = {generators.labels_without_classes_are_refused if gan.n_classes else generators.classes_matter}
    absent.add(generators.moves_with_its_weights)  # most look at numbers (labels, truncation), where there are none
    if not gan.n_layers:
        absent |= {generators.equal_rows_are_the_vector, generators.every_row_matters}
    if not gan.n_classes and not gan.w_dim:
        absent.add(generator_use.fingerprint_follows_settings)
    return absent


@pytest.mark.parametrize("clause", generators.CLAUSES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family(name, clause):
    gan = FAMILIES[name].gan
    if clause is generators.images_lie_in_minus_one_to_one and name in FAR_OUT:
        with pytest.raises(Fault, match=r"expected about \[-1, 1\]"):
            clause(gan)
        return
    try:
        clause(gan)
    except NotApplicable as reason:
        assert clause in what_is_absent(gan), reason


@pytest.mark.parametrize("clause", reading.CLAUSES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_reader(name, clause):
    clause(FAMILIES[name].source)


def test_every_clause_is_listed():
    helpers = {generators.check_generator, generator_use.share, generator_use.refuses, reading.source_of}
    written = {f for module in (generators, generator_use, reading) for name, f in vars(module).items()
               if inspect.isfunction(f) and f.__module__ == module.__name__ and not name.startswith("_")}
    assert written - helpers == {*generators.CLAUSES, *reading.CLAUSES}


def test_a_file_is_checked_with_its_reader_and_a_large_one_in_part():
    case = FAMILIES["sngan"]
    path = GOLDEN / f"{case.file}.pt"
    source = reading.source_of(str(path), case.gan)
    assert torch.equal(source.read(source.state).synthesize(torch.ones(1, case.gan.latent_dim)),
                       case.gan.synthesize(torch.ones(1, case.gan.latent_dim)))
    assert reading.source_of("nowhere:Net", PlantedGenerator()) is None
    large = PlantedGenerator()
    large.resolution = 128
    findings = {f.check: f.status for f in check_generator(large, source)}
    assert findings["one family reads it"] == "ok" and findings["methods run"] == "not tried"
    assert findings["makes images"] == "wrong" and "broken states are refused" in findings


def test_layers_of_a_generator_without_layers():
    with pytest.raises(ValueError, match=r"layers \[0\] cannot be chosen: the latents of SNGAN are not layer-wise"):
        FAMILIES["sngan"].gan.layer_ids(0)
    with pytest.raises(ValueError, match="layers 0 to 2"):
        PlantedGenerator().layer_ids(3)


# -- strangers' generators ---------------------------------------------------------------------------------
@pytest.fixture
def imports(monkeypatch):
    """What a test imports is forgotten after it, and where it looked for it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.startswith("wrong_in_one_way"):
            del sys.modules[name]


@pytest.mark.parametrize("kind", wrong_generators.WRONG)
def test_what_is_wrong_with_a_strangers_generator_is_said_by_its_clause(imports, tmp_path, kind):
    """And no clause is left with an exception that it cannot explain."""
    old, new, clause, words = wrong_generators.WRONG[kind]
    spec = wrong_generators.write(tmp_path, "wrong_in_one_way", old, new)
    findings = {finding.check: finding for finding in check_generator(load_any(str(spec)))}
    assert findings[clause].status == "wrong" and words in findings[clause].sentence, findings[clause]
    for finding in findings.values():
        assert finding.status != "wrong" or not re.match(r"[A-Za-z]*Error\b", finding.sentence), finding


def test_a_strangers_generator_that_is_right_passes(imports, tmp_path):
    spec = wrong_generators.write(tmp_path, "wrong_in_one_way")
    assert {f.status for f in check_generator(load_any(str(spec)))} == {"ok", "not applicable"}
