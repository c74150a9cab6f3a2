"""What every generator family must do: one test, (clause x family). A new family is one line of
``helpers/families.py``.

Instances are small golden files, read as a user's checkpoint would be. The clauses are those of ``check-generator``.
"""

from __future__ import annotations

import inspect
import re
import sys

import helpers
import pytest
import torch
from helpers import wrong_generators
from helpers.families import FAMILIES

from dirbench.benchmarks.contract import generator_use, generators, reading
from dirbench.benchmarks.contract.generators import check_generator
from dirbench.benchmarks.contract.report import Fault
from dirbench.benchmarks.generators.external_spec import load_any
from dirbench.benchmarks.generators.planted import PlantedGenerator
from dirbench.errors import NotApplicable
from dirbench.generator import Generator

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN
# Random golden weights, and no tanh at the end: only a trained network keeps near to [-1, 1].
FAR_OUT = {"stylegan2", "stylegan2-classes", "stylegan2-rosinality", "stylegan2-genforce", "stylegan1",
           "stylegan1-fused-classes", "pggan", "proggan"}


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
