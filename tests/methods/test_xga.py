"""xGA against the release's numbers (`golden/xga_loss.npz`); its training rules against themselves."""


import pytest
import torch
from helpers.loss_gain import gain
from helpers.planted import PlantedExtractor, PlantedGenerator, PlantedOracle, planted_ratio
from helpers.xga_toys import GOLDEN, Projector, Toy, golden_models, golden_ratio, moves, rows_of, unit_rows
from torch import nn
from torch.testing import assert_close

from dirbench import training as _training
from dirbench.benchmarks.generators.counting import count_images
from dirbench.method import Context
from dirbench.methods._contrastive import many_gan_loss
from dirbench.methods._models import LinearModel
from dirbench.methods.xga import XGA, Embedding, XGARelease, draw
from dirbench.plugins import METHODS
from dirbench.training import train

pytestmark = pytest.mark.numeric
MASKS = {"": GOLDEN["overlap"], "all_overlap_": torch.ones(6, dtype=torch.bool),
         "no_overlap_": torch.zeros(6, dtype=torch.bool)}
LOSSES = [key[5:] for key in GOLDEN if key.startswith("loss_")]


# -- the loss --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("variant", LOSSES)
def test_the_loss_accuracy_and_gradients(variant):
    middle, rest = variant.split("ow", 1)
    weight, temperature = float(rest.removesuffix("_temp2")), 2.0 if rest.endswith("_temp2") else 0.5
    feats = [GOLDEN[f"feats{i}"].clone().requires_grad_() for i in (1, 2)]
    loss, accuracy = many_gan_loss(feats, 6, MASKS[middle], weight, temperature)
    assert_close(loss.detach(), GOLDEN[f"loss_{variant}"], rtol=1e-5, atol=1e-6)
    assert_close(accuracy, GOLDEN[f"acc_{variant}"])
    if not middle:
        loss.backward()
        for i, f in enumerate(feats):
            gradient = GOLDEN[f"grad_feats{i + 1}_{variant}"]
            assert_close(f.grad, gradient, rtol=0, atol=1e-5 * gradient.abs().max().item())


def test_all_variants_of_the_loss_are_there():
    assert len(LOSSES) == 12 and sum(key.startswith("grad_feats") for key in GOLDEN) == 12


def test_the_loss_knows_a_perfect_answer_from_a_useless_one():
    perfect = torch.eye(4).repeat_interleave(2, dim=0)
    overlap = torch.tensor([True, True, True, False])
    client = torch.eye(5)[[0, 1, 2, 4]].repeat_interleave(2, dim=0)
    best, right = many_gan_loss((nn.functional.pad(perfect, (0, 1)), client), 4, overlap)
    useless = [many_gan_loss((unit_rows(8, 5, seed=2 * s), unit_rows(8, 5, seed=2 * s + 1)), 4, overlap)
               for s in range(20)]
    chance, wrong = torch.tensor(useless).mean(dim=0)
    assert right == 1 and wrong < 0.5 and best < chance - 0.1  # a useless one: 1.13 +- 0.04


def test_the_loss_does_not_depend_on_the_order_of_directions():
    feats, overlap, order = [unit_rows(4, 3, 7, seed=s) for s in (0, 1)], torch.arange(4) < 2, [3, 0, 2, 1]
    one, other = (many_gan_loss([f[o].flatten(0, 1) for f in feats], 4, overlap[o]) for o in (range(4), order))
    assert_close(one, other)


@pytest.mark.parametrize("rows, n, overlap", [(7, 3, 3), (6, 3, 2), (4, 1, 1)])
def test_the_loss_refuses_what_does_not_fit(rows, n, overlap):
    with pytest.raises(ValueError, match="many_gan_loss: expected"):
        many_gan_loss((torch.zeros(rows, 3), torch.zeros(rows, 3)), n, torch.ones(overlap, dtype=torch.bool))
    with pytest.raises(ValueError, match="no pair of one class"):
        many_gan_loss((torch.zeros(3, 3), torch.zeros(3, 3)), 3, torch.zeros(3, dtype=torch.bool))


# -- whole iterations --------------------------------------------------------------------------------------
@pytest.mark.parametrize("cls, weight, key", [(XGA, 1.0, "corrected"), (XGARelease, 1.0, "released"),
                                              (XGARelease, 0.0, "released_no_dre")])
@pytest.mark.parametrize("chunk", [3, 64])
def test_three_whole_iterations(cls, weight, key, chunk):
    method = cls(n_directions=6, n_common=4, per_step=3, unique_weight=weight)
    pair = [Toy(GOLDEN["loop_generator_weights"][i]).freeze() for i in range(2)]
    embed, ratios = Embedding(pair, ["z", "z"], Projector(), chunk), {(0, 1): golden_ratio()} if weight else {}
    models, accuracies, seen = golden_models(), [], []

    def loss_at(step):
        drawn = sorted(GOLDEN["loop_direction_permutations"][step, :3].tolist())
        loss, accuracy = method.loss(models, list(GOLDEN["loop_z"][step]), drawn, embed, ratios)
        accuracies.append(accuracy)
        return loss

    losses = train(models, loss_at, Context(), name="t", key=str, n_steps=3, lr=method.lr,
                   weight_decay=method.weight_decay, after_step=lambda: seen.append([rows_of(m) for m in models]))
    assert_close(losses.double(), GOLDEN[f"loop_{key}_total_loss"], rtol=1e-5, atol=1e-6)
    assert_close(torch.stack(accuracies).double(), GOLDEN[f"loop_{key}_accuracy"], rtol=0, atol=1e-6)
    for step, found in enumerate(seen):
        for i in range(2):
            # Adam's first step is a sign function, so a gradient that is nearly zero may go either way
            assert_close(found[i], GOLDEN[f"loop_{key}_model{i + 1}_after{step + 1}"], rtol=0, atol=1e-5)


# -- the rules of a step -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def planted():
    return [PlantedGenerator((0, 1, 2, 3, 4, 5), seed=0), PlantedGenerator((0, 1, 2, 3, 6, 7), seed=1)]


@pytest.fixture(scope="module")
def lent():
    return {"extractor": PlantedExtractor(),
            "density_ratio": planted_ratio((0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 6, 7))}


def tiny(**kwargs):
    return XGA(**{"n_directions": 6, "n_common": 4, "n_steps": 6, "per_step": 3} | kwargs)



class Watched(Embedding):
    """Keeps what it was asked for, and lets every feature have a gradient, to see which ones the loss looks at."""

    def __call__(self, latents):
        features = [f.detach().clone().requires_grad_() for f in super().__call__(latents)]
        self.extractor.features_seen.extend(features)
        self.extractor.wants_gradient.append([x.requires_grad for x in latents])
        with torch.enable_grad():
            return [f * 1 for f in features]


@pytest.mark.parametrize("cls, images, batches", [(XGA, 68, [24, 24, 10, 10]), (XGARelease, 46, [24, 2, 10, 10])])
def test_a_step_uses_every_image_that_it_makes(planted, lent, cls, images, batches):
    """The release throws 22 away, which are not made here."""
    method, watched = cls(n_steps=1), PlantedExtractor()
    watched.features_seen, watched.wants_gradient = [], []
    models = [LinearModel(16, 32, torch.Generator().manual_seed(s)) for s in range(2)]
    latents = [g.sample(method.batch, torch.Generator().manual_seed(s)) for s, g in enumerate(planted)]
    with count_images(*planted) as count:
        loss, _ = method.loss(models, latents, [0, 4, 7, 12, 15], Watched(planted, ["w", "w"], watched, 64),
                              {(0, 1): lent["density_ratio"]})
    loss.backward()
    assert count.images == method.images() == images
    assert [len(f) for f in watched.features_seen] == batches  # originals and still ones, then moved ones
    assert watched.wants_gradient == [[False, False], [True, True]]
    assert all((f.grad.norm(dim=1) > 0).all() for f in watched.features_seen)


@pytest.mark.parametrize("per_step, n_common", [(3, 4), (None, 4), (6, 6), (3, 0)])
def test_only_drawn_directions_get_a_gradient(planted, lent, per_step, n_common):
    method = tiny(per_step=per_step, n_common=n_common)
    models = [LinearModel(6, 32, torch.Generator().manual_seed(s)) for s in range(2)]
    latents = [g.sample(2, torch.Generator().manual_seed(s)) for s, g in enumerate(planted)]
    drawn = draw(6, per_step, Context().rng("any"))
    assert drawn == sorted(set(drawn)) and len(drawn) == (per_step or 6)
    embed = Embedding(planted, ["w", "w"], lent["extractor"], 64)
    method.loss(models, latents, drawn, embed, {(0, 1): lent["density_ratio"]})[0].backward()
    for model in models:
        for part in (model.weight, model.bias):
            assert [k for k, p in enumerate(part) if p.grad is not None and p.grad.abs().max() > 0] == drawn
            assert all(part[k].grad is None for k in range(6) if k not in drawn)


def test_directions_never_drawn_stay_as_they_were(planted, lent):
    method, context = tiny(n_steps=1), Context(**lent)
    found = method.discover_pair(*planted, context)
    drawn = draw(6, 3, context.rng("xga", "drawn", 0))
    for side, directions in enumerate(found):
        start = LinearModel(6, 32, context.rng("xga", "start", side)).directions("w", {})
        change = (directions.weight - start.weight).abs().amax(dim=(1, 2))
        assert [k for k in range(6) if change[k] > 0] == drawn


def test_an_interrupted_run_continues_to_the_identical_answer(planted, lent, tmp_path, monkeypatch):
    method, path = tiny(), tmp_path / "c.pt"
    whole = method.discover_pair(*planted, Context(**lent))
    monkeypatch.setattr(_training, "SAVE_SECONDS", 0)

    def interrupt(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method.discover_pair(*planted, Context(**lent, checkpoint=path, progress=interrupt))
    seen = []
    found = method.discover_pair(*planted, Context(
        **lent, checkpoint=path, progress=lambda done, total: seen.append(done)))
    assert seen == [4, 5, 6] and torch.equal(moves(found), moves(whole)) and found[0].notes == whole[0].notes


def test_the_loss_falls(planted, lent):
    method = tiny(n_steps=60, per_step=None, lr=0.01)
    assert gain(method, lambda m, s: m.discover_pair(*planted, Context(seed=s, **lent))[0]) > 0.05  # 0.22 to 0.67


def test_common_directions_correspond_and_unique_ones_leave_the_other_distribution(planted, lent):
    settings = {"n_directions": 6, "n_common": 4, "n_steps": 60, "per_step": None, "lr": 0.05, "milestones": ()}
    found = XGA(**settings).discover_pair(*planted, Context(**lent))
    oracle, changes, scores = PlantedOracle(tuple(range(8))), [], []
    for side, (directions, gan) in enumerate(zip(found, planted)):
        latents = gan.sample(32, torch.Generator().manual_seed(1))
        images = gan.synthesize(directions.shift_all(latents, 3.0))
        before = oracle.logits(gan.synthesize(latents)).mean(0)
        changes.append(oracle.logits(images).unflatten(0, (6, 32)).mean(1) - before)
        features = nn.functional.normalize(lent["extractor"].features(images), dim=1)
        scores.append(lent["density_ratio"].scores(features)[:, 1 - side].unflatten(0, (6, 32)).mean(1))
    alike = nn.functional.cosine_similarity(changes[0][:4, None], changes[1][None, :4], dim=2)
    others = alike[~torch.eye(4, dtype=torch.bool)]
    assert alike.diagonal().mean() > others.mean() + 0.5  # over seeds 0.95 +- 0.065
    gaps = [(score[:4].mean() - score[4:].mean()) / score.std() for score in scores]  # scores' size is the ratio's own
    assert min(gaps) > 1.2  # over 24 of 12 seeds 1.74 +- 0.08; two clusters without spread have 1.94, no order 0


def test_without_uniqueness_no_density_ratio_is_needed(planted, lent):
    extractor = lent["extractor"]
    assert tiny(unique_weight=0).needs == METHODS.build("xga", {"unique_weight": 0}).needs == ("extractor",)
    assert XGA().needs == XGA.needs == ("extractor", "density_ratio")
    tiny(unique_weight=0).discover_pair(*planted, Context(extractor=extractor))
    with pytest.raises(ValueError, match="xga needs a context with density_ratio"):
        tiny().discover_pair(*planted, Context(extractor=extractor))
    with pytest.raises(ValueError, match="ratio_loss='log', but the density ratio was trained with 'kliep'"):
        tiny(ratio_loss="log").discover_pair(*planted, Context(**lent))


def test_generators_may_differ_in_size(planted, lent):
    class Small(PlantedGenerator):
        def synthesize(self, latent, space=None):
            return super().synthesize(latent, space)[..., ::2, ::2]

    reference, client = tiny().discover_pair(planted[0], Small(space="z", seed=2), Context(**lent))
    assert (reference.space, client.space) == ("w", "z")


@pytest.mark.parametrize("params, words", [
    ({"n_common": 17}, "n_common=17, expected 0 or more and at most n_directions=16"),
    ({"per_step": 17}, "per_step=17"), ({"batch": 1}, "batch=1, expected 2 or more"),
    ({"ratio_loss": "l2"}, "expected one of kliep"), ({"unique_weight": -1}, "unique_weight=-1")])
def test_wrong_settings_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        METHODS.build("xga", params)
