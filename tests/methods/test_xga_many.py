"""xGA on one generator and on three: the release's numbers, and that two at once are the pairwise method."""

import dataclasses
import weakref

import helpers
import numpy as np
import pytest
import torch
from helpers.loss_gain import gain
from helpers.planted import PlantedExtractor, PlantedGenerator, PlantedOracle
from helpers.xga_toys import GOLDEN, Projector, Toy, golden_models, golden_ratio, moves, rows_of, unit_rows
from torch import nn
from torch.testing import assert_close

from dirbench import training as _training
from dirbench.benchmarks.generators.counting import count_images
from dirbench.method import Context
from dirbench.methods._contrastive import many_gan_loss
from dirbench.methods._latentclr_loss import Contrast
from dirbench.methods._models import LinearModel
from dirbench.methods._xga_many import FrugalEmbedding, density_ratios, discover_many, images
from dirbench.methods.xga import XGA, Embedding, XGARelease, step_changes
from dirbench.methods.xga_single import XGASingle
from dirbench.oracles.networks.density_ratio import LOSSES, DensityRatio, uniqueness

pytestmark = pytest.mark.numeric
with np.load(helpers.GOLDEN / "xga_loop.npz", allow_pickle=False) as file:
    LOOP = {name: torch.from_numpy(file[name]) for name in file.files}
SHARED = (0, 1, 2, 3)


# -- the release's loops -------------------------------------------------------------------------------------
def third_model():
    model = LinearModel(6, 5, torch.Generator())
    with torch.no_grad():
        for k, row in enumerate(LOOP["loop_model3_before"]):
            model.weight[k].copy_(row[:25].view(5, 5))
            model.bias[k].copy_(row[25:])
    return model


@pytest.mark.parametrize("name, pairs, keep_zeros", [
    ("released_zero_grad_keeps_zeros", [[1, 2]] * 3, True),
    ("threegan_released", LOOP["loop_threegan_released_generator_pair_per_iteration_1based"].tolist(), False)])
def test_the_release_on_old_pytorch_and_on_three_generators(name, pairs, keep_zeros):
    """Its loop in this project's parts; three generators take turns in pairs, with the first pair's density ratio."""
    method = XGARelease(n_directions=6, n_common=4, per_step=3)
    models, ratios = nn.ModuleList([*golden_models(), third_model()]), {(0, 1): golden_ratio()}
    gans = [Toy(GOLDEN["loop_generator_weights"][i]).freeze() for i in range(3)]
    optimizer = torch.optim.Adam(models.parameters(), lr=method.lr, weight_decay=method.weight_decay)
    for step, pair in enumerate(pairs):
        chosen = [i - 1 for i in pair]
        embed = Embedding([gans[i] for i in chosen], ["z", "z"], Projector(), 64)
        drawn = sorted(GOLDEN["loop_direction_permutations"][step, :3].tolist())
        loss, accuracy = method.loss([models[i] for i in chosen], list(GOLDEN["loop_z"][step]), drawn, embed, ratios)
        optimizer.zero_grad(set_to_none=not keep_zeros)
        loss.backward()
        optimizer.step()
        assert_close(loss.detach().double(), LOOP[f"loop_{name}_total_loss"][step], rtol=1e-5, atol=1e-6)
        assert_close(accuracy.double(), LOOP[f"loop_{name}_accuracy"][step], rtol=0, atol=1e-6)
    for i, model in enumerate(models):
        if f"loop_{name}_model{i + 1}_after3" in LOOP:
            assert_close(rows_of(model), LOOP[f"loop_{name}_model{i + 1}_after3"], rtol=0, atol=1e-5)


# -- the loss for any number of generators ----------------------------------------------------------------------
def spelled_out(feats, n, overlap, weight, temperature):
    """Eq. 3 for any number of generators, pair by pair as its docstring says it."""
    batch = len(feats[0]) // n
    rows = [(g, k, f) for g, features in enumerate(feats) for k in range(n)
            for f in features[k * batch:(k + 1) * batch].double()]

    def same(a, b):
        return a[1] == b[1] and (a[0] == b[0] or overlap[a[1]])

    def similarity(a, b):
        return torch.exp(temperature * a[2] @ b[2])

    terms = []
    for r, row in enumerate(rows):
        negatives = sum(similarity(row, other) for other in rows if not same(row, other))
        terms += [(1.0 if row[0] == other[0] else weight) * -torch.log(similarity(row, other) / negatives)
                  for p, other in enumerate(rows) if p != r and same(row, other)]
    return sum(terms) / len(terms)


@pytest.mark.parametrize("n_gans", [1, 2, 3])
def test_the_loss_is_what_its_docstring_says(n_gans):
    feats, overlap = [unit_rows(8, 5, seed=s) for s in range(n_gans)], torch.tensor([True, False, True, False])
    loss, _ = many_gan_loss(feats, 4, overlap, 0.3, 0.7)
    assert_close(loss.double(), spelled_out(feats, 4, overlap, 0.3, 0.7), rtol=1e-5, atol=1e-6)


def test_generators_may_come_in_any_order():
    feats, overlap = [unit_rows(8, 5, seed=s) for s in range(3)], torch.arange(4) < 2
    assert_close(many_gan_loss(feats, 4, overlap), many_gan_loss([feats[2], feats[0], feats[1]], 4, overlap))
    with pytest.raises(ValueError, match="no pair of one class"):
        many_gan_loss([torch.eye(4)], 4, overlap)


def test_the_third_generator_must_agree_with_both_others():
    """Alike in all three beats alike in two: every pair has its terms."""
    base = torch.eye(6)[:4].repeat_interleave(2, dim=0)
    apart, overlap = torch.eye(6)[[1, 0, 3, 2]].repeat_interleave(2, dim=0), torch.ones(4, dtype=torch.bool)
    best, right = many_gan_loss([base, base, base], 4, overlap)
    assert right == 1
    for i in range(3):
        feats = [base] * 3
        feats[i] = apart
        assert many_gan_loss(feats, 4, overlap)[0] > best + 0.01


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("weight", [0.1, 0.2, 0.5, 1, 5])
def test_lambda_b_weighs_the_uniqueness_of_either_kind(kind, weight):
    """Table 3's settings: the loss less its contrastive part is lambda_b times uniqueness of the unique directions."""
    gans = [Toy(GOLDEN["loop_generator_weights"][i]).freeze() for i in range(2)]
    embed, models, drawn = Embedding(gans, ["z", "z"], Projector(), 64), golden_models(), [0, 4, 5]
    ratio, latents = DensityRatio(8, kind), list(GOLDEN["loop_z"][0])
    with torch.no_grad():
        ratio.load_state_dict(golden_ratio().state_dict())
        values = [XGA(n_directions=6, n_common=4, unique_weight=w, ratio_loss=kind).loss(
            models, latents, drawn, embed, {(0, 1): ratio} if w else {})[0] for w in (0, weight)]
        moved = [f[2:] for f in step_changes(models, latents, drawn, 6, 3.0, embed)[1]]
        assert_close(values[1] - values[0], weight * uniqueness(ratio, *moved), rtol=1e-4, atol=1e-5)


# -- many generators ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def gans():
    return [PlantedGenerator((*SHARED, 4, 5), seed=0), PlantedGenerator((*SHARED, 6, 7), seed=1),
            PlantedGenerator((*SHARED, 8, 9), "z", seed=2)]


@pytest.fixture(scope="module")
def context():
    return Context(extractor=PlantedExtractor())


@pytest.fixture(scope="module")
def ratios(gans, context):
    return density_ratios(tiny(), gans, context, pool=512, steps=100)


def tiny(**kwargs):
    return XGA(**{"n_directions": 6, "n_common": 4, "n_steps": 6, "per_step": 3} | kwargs)


def test_two_generators_at_once_are_the_pairwise_method(gans, context, ratios):
    """The loss and its gradients but for rounding; the training too, as far as Adam's first sign lets it."""
    method, first = tiny(), {(0, 1): ratios[0, 1]}
    latents = [g.sample(2, torch.Generator().manual_seed(s)) for s, g in enumerate(gans[:2])]
    found = []
    for embedding in (Embedding, FrugalEmbedding):
        models = nn.ModuleList(LinearModel(6, 32, torch.Generator().manual_seed(s)) for s in range(2))
        embed = embedding(gans[:2], ["w", "w"], context.extractor, 5)
        loss, _ = method.loss(models, latents, [0, 3, 5], embed, first)
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in models.parameters() if p.grad is not None)])
    assert len(found[0]) == len(found[1]) == 1 + 2 * 2 * 3
    for one, other in zip(*found):
        assert_close(one, other, rtol=1e-4, atol=1e-5 * one.abs().max().item())
    pair = method.discover_pair(*gans[:2], Context(extractor=context.extractor, density_ratio=first[0, 1]))
    many = discover_many(method, gans[:2], context, first)
    assert_close(moves(many), moves(pair), rtol=0, atol=1e-3)
    assert many[0].notes["loss_last"] == pytest.approx(pair[0].notes["loss_last"], rel=1e-4)


def test_images_with_gradient_are_made_twice(gans, context, ratios):
    with count_images(*gans) as count:
        discover_many(tiny(), gans, context, ratios)
    assert count.images == images(tiny(), 3) == 6 * 3 * 2 * (1 + 6 + 3)


class Remember(torch.autograd.Function):
    """The identity, which keeps a tensor for the way back, as networks keep activations."""

    @staticmethod
    def forward(ctx, x, kept):
        ctx.save_for_backward(kept)
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None


def test_activations_of_one_chunk_are_in_memory_at_a_time(gans, context):
    """What a network keeps for the way back is gone before the next chunk or generator is synthesised."""
    alive, most = set(), []

    class Watched:
        def __init__(self, generator):
            self.generator = generator

        def synthesize(self, latent, space=None):
            image, number = self.generator.synthesize(latent, space), len(most)
            if image.requires_grad:
                activation = torch.ones(())
                alive.add(number)
                weakref.finalize(activation, alive.discard, number)
                most.append(len(alive))
                image = Remember.apply(image, activation)
            return image

    method = tiny(unique_weight=0, per_step=None)
    models = nn.ModuleList(LinearModel(6, 32, torch.Generator().manual_seed(s)) for s in range(3))
    latents = [g.sample(2, torch.Generator().manual_seed(s)) for s, g in enumerate(gans)]
    for embedding, limit, calls in ((FrugalEmbedding, 1, 2 * 3 * 3), (Embedding, 9, 9)):
        alive.clear(), most.clear()
        embed = embedding([Watched(g) for g in gans], ["w", "w", "z"], context.extractor, 4)
        method.loss(models, latents, list(range(6)), embed, {})[0].backward()
        assert len(most) == calls and max(most) == limit


def test_common_directions_are_shared_by_all_three(gans, context):
    method = tiny(n_directions=4, n_steps=100, per_step=None, batch=4, lr=0.05, milestones=(), unique_weight=0,
                  other_weight=1.0)
    found, changes = discover_many(method, gans, context), []
    oracle = PlantedOracle(tuple(range(10)))
    assert [d.space for d in found] == ["w", "w", "z"] and found[0].notes["n_common"] == 4
    for directions, gan in zip(found, gans):
        latents = gan.sample(32, torch.Generator().manual_seed(1))
        edited = oracle.logits(gan.synthesize(directions.shift_all(latents, 3.0), directions.space))
        changes.append(edited.unflatten(0, (4, 32)).mean(1) - oracle.logits(gan.synthesize(latents)).mean(0))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        alike = nn.functional.cosine_similarity(changes[i][:, None], changes[j][None], dim=2)
        others = alike[~torch.eye(4, dtype=torch.bool)]
        assert alike.diagonal().mean() > others.mean() + 0.5, (i, j, alike)


def test_unique_directions_leave_both_other_distributions(gans, context, ratios):
    """Scores of unique directions are lower than of common ones: over seeds by 1.4 +- 0.16 deviations of all scores,
    untrained by -0.07 +- 0.22."""
    method, scores = tiny(n_steps=60, per_step=None, lr=0.05, milestones=()), []
    found = discover_many(method, gans, context, ratios)
    for g, (directions, gan) in enumerate(zip(found, gans)):
        latents = gan.sample(32, torch.Generator().manual_seed(1))
        seen = nn.functional.normalize(context.extractor.features(gan.synthesize(directions.shift_all(latents, 3.0))))
        for other in set(range(3)) - {g}:
            pair = (min(g, other), max(g, other))
            scores.append(ratios[pair].scores(seen)[:, int(g < other)].unflatten(0, (6, 32)).mean(1))
    table = torch.stack(scores)  # [pairs in both orders, directions]
    assert table[:, :4].mean() - table[:, 4:].mean() > 0.55 * table.std()


def test_an_interrupted_run_on_three_continues_to_the_identical_answer(gans, context, ratios, tmp_path, monkeypatch):
    whole = discover_many(tiny(), gans, context, ratios)
    monkeypatch.setattr(_training, "SAVE_SECONDS", 0)

    def interrupt(done, total):
        if done == 4:
            raise KeyboardInterrupt

    at = tmp_path / "c.pt"
    with pytest.raises(KeyboardInterrupt):
        discover_many(tiny(), gans, Context(extractor=context.extractor, checkpoint=at, progress=interrupt), ratios)
    again = discover_many(tiny(), gans, Context(extractor=context.extractor, checkpoint=at), ratios)
    for one, other in zip(whole, again):
        assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)


def test_what_many_generators_need_is_said(gans, context, ratios):
    with pytest.raises(ValueError, match="1 generators, expected two or more"):
        discover_many(tiny(), gans[:1], context)
    with pytest.raises(ValueError, match=r"ratios of the pairs \[\(0, 1\), \(0, 2\), \(1, 2\)\], got \[\]"):
        discover_many(tiny(), gans, context)
    with pytest.raises(ValueError, match=r"got \[\(0, 1\)"):
        discover_many(tiny(unique_weight=0), gans, context, ratios)
    with pytest.raises(ValueError, match="ratio_loss='log', but"):
        discover_many(tiny(ratio_loss="log"), gans, context, ratios)
    assert density_ratios(tiny(unique_weight=0), gans, context) == {}


# -- one generator -----------------------------------------------------------------------------------------------
def test_one_generator_has_the_terms_within_it(gans, context):
    """xGA's loss with lambda_a = 0 on a generator and on itself twice differ only in negatives that both have."""
    method, model = XGASingle(n_directions=6, per_step=3), LinearModel(6, 32, torch.Generator().manual_seed(0))
    latents = gans[0].sample(3, torch.Generator().manual_seed(0))
    embed = Embedding(gans[:1], ["w"], context.extractor, 64)
    with count_images(gans[0]) as count:
        loss, accuracy = method.loss(model, latents, [1, 3, 4], embed)
    loss.backward()
    assert count.images == 3 * 7 and 0 <= accuracy <= 1
    assert [k for k, p in enumerate(model.weight) if p.grad is not None] == [1, 3, 4]
    changes = step_changes([model], [latents], [1, 3, 4], 6, 3.0, embed)[0]
    twice, _ = many_gan_loss([changes[0], changes[0]], 6, torch.zeros(6, dtype=torch.bool), 0.0)
    # each row meets its 15 negatives twice and, in the other copy, its own direction's 3 rows as negatives
    similar = (0.5 * changes[0] @ changes[0].T).exp()
    own = torch.block_diag(*[torch.ones(3, 3)] * 6).bool()
    negatives, extra = similar.masked_fill(own, 0).sum(1), similar.masked_fill(~own, 0).sum(1)
    assert_close(twice - loss, ((2 * negatives + extra) / negatives).log().mean(), rtol=1e-5, atol=1e-5)


def test_the_order_of_better_is_latentclrs(gans, context):
    """Of the same features, LatentCLR's loss and this one agree which are better separated."""
    good, bad = torch.eye(6).repeat_interleave(3, dim=0), unit_rows(18, 6)
    none, contrast = torch.zeros(6, dtype=torch.bool), Contrast(6, absolute=False)
    assert many_gan_loss([good], 6, none)[0] < many_gan_loss([bad], 6, none)[0]
    assert contrast.of_rows(good)[0] < contrast.of_rows(bad)[0]


@pytest.mark.parametrize("params, words", [({"n_directions": 1}, "n_directions=1"), ({"batch": 1}, "batch=1, expec"),
                                           ({"per_step": 17}, "at most n_directions=16")])
def test_wrong_settings_of_xga_single_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        XGASingle(**params)


def test_the_single_loss_falls(gans, context):
    method = XGASingle(n_directions=6, n_steps=120, per_step=None, batch=4, lr=0.02)
    found = gain(method, lambda m, s: m.discover(gans[0], dataclasses.replace(context, seed=s)))
    assert found > 0.02  # over seeds 0.21 +- 0.04
