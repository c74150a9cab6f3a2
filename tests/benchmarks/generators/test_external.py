"""A generator that nobody here wrote: from YAML, through checks and methods; and what is said when it is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
import torch
from helpers import ROOT
from torch import nn

from dirbench.benchmarks.checkpoints import CheckpointError
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.contract.generators import CLAUSES, check_generator
from dirbench.benchmarks.generators import families
from dirbench.benchmarks.generators.external import External, SpecError
from dirbench.benchmarks.generators.external_spec import load_any, load_external
from dirbench.benchmarks.generators.planted import PlantedGenerator
from dirbench.errors import NotApplicable
from dirbench.method import Context
from dirbench.methods.ganspace import GANSpace
from dirbench.methods.latentclr import LatentCLR
from dirbench.methods.sefa import SeFa

MODULE = '''
import torch
from torch import nn


class Net(nn.Module):
    """A small DCGAN: z [N, D, 1, 1] in, images of 16 pixels out."""

    def __init__(self, dim=12, last="Tanh", channels=3):
        super().__init__()
        self.head = nn.ConvTranspose2d(dim, 16, 4)
        self.body = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.ReLU(),
                                  nn.ConvTranspose2d(8, channels, 4, 2, 1))
        self.last = getattr(nn, last)()

    def forward(self, z):
        return self.last(4 * self.body(self.head(z)))
'''
YAML = """\
generator:
  module: {module}:Net
  args: {{last: {last}}}
  checkpoint: net.pt
  latent_dim: 12
  input_shape: [12, 1, 1]
  output: {output}
"""


@pytest.fixture
def spec(tmp_path, request, monkeypatch):
    """Writes a stranger's module, its weights and a specification; returns the latter's path."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = f"strangers_{request.node.name.split('[')[0]}_{abs(hash(request.node.name))}"

    def write(last="Tanh", output="tanh", **more):
        (tmp_path / f"{module}.py").write_text(MODULE)
        space = {}
        exec(MODULE, space)
        torch.manual_seed(1)
        torch.save(space["Net"](last=last).state_dict(), tmp_path / "net.pt")
        text = YAML.format(module=module, last=last, output=output)
        path = tmp_path / "mine.yaml"
        path.write_text(text + "".join(f"  {key}: {value}\n" for key, value in more.items()))
        return path

    return write


@pytest.mark.parametrize("last, output", [("Tanh", "tanh"), ("Sigmoid", "sigmoid")])
def test_it_passes_every_check(spec, last, output):
    gan = load_any(str(spec(last, output)))
    findings = {f.check: f.status for f in check_generator(gan)}
    assert len(findings) == len(CLAUSES)
    absent = {"equal rows are the vector", "every row matters", "classes matter", "fingerprint follows settings"}
    assert {check for check, status in findings.items() if status == "not applicable"} == absent
    assert set(findings.values()) == {"ok", "not applicable"}


def test_what_it_holds(spec):
    gan = load_any(str(spec()))
    assert (gan.latent_dim, gan.resolution, gan.space) == (12, 16, "z")
    assert gan.layer_names == ("head", "body.2") and gan.first_linear == "head"
    z = gan.sample(3, torch.Generator().manual_seed(0))
    image = gan.net(z[:, :, None, None])
    assert torch.equal(gan.synthesize(z), image)
    assert torch.equal(gan.activations(z, "head"), gan.net.head(z[:, :, None, None]))
    weight, = gan.affine_weights()  # what z meets: the head's output moves by the weight times the move of z
    moved = gan.activations(z + 1, "head") - gan.activations(z, "head")
    torch.testing.assert_close(moved.flatten(1), torch.ones(3, 12) @ weight.T)


def test_output_ranges(spec):
    z = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    half = load_any(str(spec("Sigmoid", "sigmoid"))).synthesize(z)
    raw = load_any(str(spec("Sigmoid", "tanh"))).synthesize(z)
    torch.testing.assert_close(half, 2 * raw - 1)
    grey = External(nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8)), nn.Sigmoid()), latent_dim=4,
                    output="sigmoid").freeze()
    assert grey.synthesize(z[:, :4]).shape == (4, 3, 8, 8) and grey.layer_names == ("image",)
    bytes_ = External(_Scaled(), latent_dim=4, output="0-255").freeze()
    assert bytes_.synthesize(z[:, :4]).abs().max() <= 1


class _Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 192), nn.Unflatten(1, (3, 8, 8)), nn.Sigmoid())

    def forward(self, z):
        return 255 * self.body(z)


def test_three_methods_find_directions(spec):
    gan = load_any(str(spec()))
    for method in (SeFa(n_directions=4), GANSpace(n_directions=4, n_samples=200, n_regression=200),
                   LatentCLR(n_directions=4, n_steps=2, batch=2)):
        found = method.discover(gan, Context(chunk=64))
        assert len(found) == 4 and found.space == "z"


def test_what_is_impossible_is_not_applicable():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(6, 48)

        def forward(self, z):
            return self.dense(nn.functional.normalize(z, dim=1)).view(-1, 3, 4, 4).tanh()

    gan = External(Normed(), latent_dim=6).freeze()
    with pytest.raises(NotApplicable, match="no linear layer that z goes into as it is"):
        SeFa(n_directions=2).discover(gan, Context())
    assert {f.check: f.status for f in check_generator(gan)}["gives affine weights"] == "not applicable"
    named = External(Normed(), latent_dim=6, first_linear="dense").freeze()
    assert len(SeFa(n_directions=2).discover(named, Context())) == 2


@pytest.mark.parametrize("last, output, words", [
    ("Sigmoid", "tanh", 'say "output: sigmoid"'), ("Identity", "0-255", "hardly vary")])
def test_wrong_outputs_are_explained(spec, last, output, words):
    wrong = [f.sentence for f in check_generator(load_any(str(spec(last, output)))) if f.status == "wrong"]
    assert any(words in sentence for sentence in wrong), wrong


class Broken(PlantedGenerator):
    """A generator that breaks the contract in one way."""

    fault = ""

    def synthesize(self, latent, space=None):
        image = super().synthesize(latent, space)
        if self.fault == "noise":
            image = image + 0.1 * torch.randn(image.shape)
        if self.fault == "batch":
            image = image - image.mean(dim=0)
        if self.fault == "detached":
            image = image.detach()
        if self.fault == "drift":
            self.mean.data += 0.1
        return image[:, :1] if self.fault == "grey" else image

    def sample_z(self, n, rng):
        return torch.randn(n, self.latent_dim) if self.fault == "global" else super().sample_z(n, rng)


@pytest.mark.parametrize("fault, check, words", [
    ("noise", "same latent same image", "noise drawn anew"), ("batch", "batch does not matter", "batch norm"),
    ("detached", "gradients reach the latent", "no gradient"), ("grey", "makes images", "expected [3, 3, 16, 16]"),
    ("global", "samples latents from the given source alone", "draw from rng alone"),
    ("drift", "is frozen and stays as it is", "changes its weights")])
def test_each_fault_is_found(fault, check, words):
    gan = Broken()
    assert [f for f in check_generator(gan) if f.status == "wrong"] == []
    gan.fault = fault
    found = {f.check: f for f in check_generator(gan)}[check]
    assert found.status == "wrong" and words in found.sentence


@pytest.mark.parametrize("change, words", [
    ({"latent_dim": 13}, r"input_shape: \[12, 1, 1\] holds 12 numbers"), ({"outptu": "tanh"}, 'Did you mean "output"'),
    ({"output": "tnah"}, 'Did you mean "tanh"'), ({"layers": ["haed"]}, 'layers: .*Did you mean "head"'),
    ({"first_linear": "last"}, "is a Tanh, expected a Linear"), ({"input_shape": None}, "does not take z as"),
    ({"module": "nowhere:Net"}, "nowhere cannot be imported"), ({"module": "torch"}, 'expected "package.module:Class"'),
    ({"args": {"depth": 3}}, r"Net\(depth=3\) failed"), ({"args": {"dim": 13}}, "does not fit Net"),
    ({"module": "pathlib:Path"}, "makes a .*Path, expected an nn.Module"), ({"latent_dim": "12"}, "a whole number")])
def test_wrong_specifications_are_explained(spec, change, words):
    from dirbench.benchmarks.generators.external_spec import read_spec
    path = spec()
    if change.get("module") == "pathlib:Path":
        change = {**change, "args": {}}
    with pytest.raises(SpecError, match=words):
        load_external({**read_spec(path), **change}, path.parent)


def test_fingerprint_knows_the_output(spec):
    marks = {load_any(str(spec("Sigmoid", output))).fingerprint() for output in ("tanh", "sigmoid")}
    assert len(marks) == 2


def test_on_the_command_line(spec):
    path = spec("Sigmoid", "tanh")

    def run(*args):
        return subprocess.run([sys.executable, "run_bench.py", *args], cwd=ROOT, text=True, capture_output=True)

    wrong = run("check-generator", str(path))
    assert wrong.returncode == 1 and 'say "output: sigmoid"' in wrong.stdout
    path.write_text(path.read_text().replace("output: tanh", "output: sigmoid"))
    right = run("check-generator", str(path))
    assert right.returncode == 0 and "nothing is wrong" in right.stdout
    nothing = run("check-generator", "no/such.pt")
    assert nothing.returncode == 2 and "Traceback" not in nothing.stderr and "no/such.pt" in nothing.stderr


@pytest.mark.parametrize("key, value, words", [
    ("input_shape", "12x1x1", r"input_shape: '12x1x1', expected whole numbers from 1, such as \[12, 1, 1\]"),
    ("input_shape", "[12, 1, 1]", "input_shape: .*expected whole numbers"),
    ("input_shape", [12, 1.0, 1], "input_shape: "),
    ("input_shape", [], "input_shape: "), ("input_shape", {"z": 12}, "input_shape: "),
    ("input_shape", [-12, -1], "input_shape: "),
    ("input_shape", True, "input_shape: "), ("input_shape", 25, "latent_dim is 12"),
    ("latent_dim", "12", "latent_dim: '12'"),
    ("latent_dim", True, "latent_dim: True"), ("latent_dim", 12.0, "latent_dim: 12.0"),
    ("output", ["tanh"], "output: "),
    ("output", None, "output: "), ("output", "tahn", 'output: .*Did you mean "tanh"'), ("layers", 3, "layers: 3"),
    ("first_linear", ["head"], "first_linear: "),
    ("layers", {"a": 1}, "layers: "), ("layers", "nothing.like.it", "layers: unknown submodule"),
    ("args", [1], "args: "),
    ("args", "width", "args: "), ("checkpoint", {"a": 1}, "checkpoint: "), ("checkpoint", 3, "checkpoint: 3")])
def test_values_of_other_kinds_are_explained(spec, key, value, words):
    from dirbench.benchmarks.generators.external_spec import read_spec
    path = spec()
    with pytest.raises(SpecError, match=words):
        load_external({**read_spec(path), key: value}, path.parent)


def test_what_is_wrong_in_a_specification_is_told_with_its_line(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("# mine\ngenerator:\n  module: torch.nn:Flatten\n  latent_dim: 8\n  input_shape: 8x1\n")
    assert main(["check-generator", str(path)]) == 2
    assert f"{path}:5: input_shape: " in capsys.readouterr().err
    path.write_text("module: torch.nn:Nothing\nlatent_dim: 8\n")
    assert main(["check-generator", str(path)]) == 2
    assert f"{path}:1: module: " in capsys.readouterr().err


def test_a_checkpoint_in_a_specification_starts_from_its_folder(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    shutil.copyfile(ROOT / "tests" / "golden" / "stylegan2_ada.pt", tmp_path / "below" / "a.pt")
    (tmp_path / "below" / "a.yaml").write_text("checkpoint: a.pt\n")
    monkeypatch.chdir(tmp_path)
    assert load_any("below/a.yaml").resolution == 32


@pytest.mark.parametrize("spec, words", [({"checkpoint": 3}, "checkpoint: 3, expected a text"),
                                         ({"checkpoint": "x.pt", "family": 3}, "family: 3, expected a text")])
def test_a_number_is_no_file_and_no_family(spec, words):
    with pytest.raises(CheckpointError, match=words):
        families.load_generator(spec)
