"""ContraFeat and its attention on top of other directions, against the official code's numbers and by behaviour."""

import math

import helpers
import numpy as np
import pytest
import torch
from helpers.loss_gain import gain
from helpers.planted import PlantedExtractor, PlantedGenerator
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dirbench import training as _training
from dirbench.benchmarks.generators.counting import count_images
from dirbench.directions import Directions, Layerwise, Vectors
from dirbench.errors import DiscoveryError, NotApplicable
from dirbench.generator import Generator
from dirbench.method import Context
from dirbench.methods._contrafeat_losses import Similarity, contrast, diversity, masks, prototype_contrast
from dirbench.methods._layer_attention import CENTRE, SIDE, LayerAttention, Navigator, smooth
from dirbench.methods.attention_on_top import GANSpaceAttention, SeFaAttention
from dirbench.methods.contrafeat import ContraFeat, Eye
from dirbench.methods.ganspace import GANSpace
from dirbench.methods.sefa import SeFa
from dirbench.oracle import FeatureExtractor
from dirbench.plugins import METHODS

pytestmark = pytest.mark.numeric
with np.load(helpers.GOLDEN / "contrafeat.npz", allow_pickle=False) as file:
    GOLDEN = {name: torch.from_numpy(file[name]) for name in file.files}


def changes(grad: bool = False):
    """Golden feature stacks, and their changes for query, positive and negative."""
    stacks = [GOLDEN[f"feat_layer{i}"].clone().requires_grad_(grad) for i in range(3)]
    cut = [[stack[2 * i:2 * i + 2] for stack in stacks] for i in range(5)]  # starts 1, 2; query, positive, negative
    return stacks, [[a - b for a, b in zip(cut[after], cut[before])] for after, before in ((2, 0), (3, 1), (4, 1))]


# -- golden numbers: masks and losses ----------------------------------------------------------------------
def test_masks():
    for name, change in zip(("q", "pos", "neg"), changes()[1]):
        norms = [stage.norm(dim=1) for stage in change]
        for i, (alone, shared) in enumerate(zip(masks(norms), masks(norms, over_depth=True))):
            assert_close(norms[i], GOLDEN[f"norm_layer{i}_{name}"], rtol=1e-5, atol=1e-6)
            assert_close(alone, GOLDEN[f"mask_layer{i}_{name}"], rtol=1e-5, atol=1e-6)
            assert_close(shared, GOLDEN[f"maskdepth_layer{i}_{name}"], rtol=1e-5, atol=1e-6)


VARIANTS = {"default": Similarity(), "mask_after_square": Similarity("linear"), "no_mask": Similarity("none"),
            "norm_over_depth": Similarity(over_depth=True), "abs_cos": Similarity(absolute=True),
            "mask_after_square_norm_over_depth": Similarity("linear", over_depth=True)}


def test_every_golden_variant_is_tested():
    assert set(VARIANTS) == {n[5:-5] for n in GOLDEN if n.startswith("loss_") and n.endswith("_mean")}


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_and_their_parts(variant):
    similarity, (query, positive, negative) = VARIANTS[variant], changes()[1]
    loss = contrast(query, positive, negative, similarity)
    assert_close(loss, GOLDEN[f"loss_{variant}_per_sample"], rtol=1e-5, atol=1e-6)
    assert_close(loss.mean(), GOLDEN[f"loss_{variant}_mean"], rtol=1e-5, atol=1e-6)
    assert_close(-similarity.pairs(query, positive), GOLDEN[f"consistency_{variant}_per_sample"], rtol=1e-5, atol=1e-6)
    assert_close(similarity.pairs(query, negative), GOLDEN[f"orthogonality_{variant}_per_sample"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variant", ["default", "mask_after_square"])
def test_gradients_through_masks_and_cosines(variant):
    stacks, parts = changes(grad=True)
    contrast(*parts, VARIANTS[variant]).mean().backward()
    for i, stack in enumerate(stacks):
        expected = GOLDEN[f"loss_{variant}_grad_layer{i}"]
        assert (stack.grad - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_table_holds_the_pairs(variant):
    query, positive, negative = changes()[1]
    table = VARIANTS[variant].table(query, [torch.cat(both) for both in zip(positive, negative)])
    assert table.shape == (2, 4)
    assert_close(table[:, :2].diagonal(), VARIANTS[variant].pairs(query, positive), rtol=1e-5, atol=1e-6)
    assert_close(table[:, 2:].diagonal(), VARIANTS[variant].pairs(query, negative), rtol=1e-5, atol=1e-6)


def test_prototype_loss_and_gradients():
    feats = [GOLDEN[f"proto_feat_layer{i}"].clone().requires_grad_() for i in range(2)]
    memory = [GOLDEN[f"proto_memory_feat_layer{i}"].clone().requires_grad_() for i in range(2)]
    loss = prototype_contrast(Similarity().table([f[3:] - f[:3] for f in feats], memory), GOLDEN["proto_q_idx"])
    assert_close(loss, GOLDEN["proto_loss"], rtol=1e-4, atol=1e-6)
    loss.backward()
    for i in range(2):
        for got, name in ((feats[i], "feat"), (memory[i], "memory")):
            expected = GOLDEN[f"proto_grad_{name}_layer{i}"]
            assert (got.grad - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_pooled_changes_know_no_place():
    query = changes()[1][0]
    rolled = [change.flip(2) for change in query]
    assert_close(Similarity("pooled").pairs(query, rolled), torch.full((2,), 3.0), rtol=1e-5, atol=0)
    assert (Similarity("none").pairs(query, rolled) < 2).all()


def test_no_change_costs_nothing_and_has_a_gradient():
    still = [torch.zeros(2, 3, 4, 4, requires_grad=True)]
    moved = [torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))]
    loss = contrast(still, moved, moved, Similarity()).sum()
    loss.backward()
    assert loss == 0 and still[0].grad.isfinite().all()


# -- golden numbers: attention, moves, diversity -------------------------------------------------------------
def navigator(logits: str, coordinates: str = "nav_logits", learned: bool = True) -> Navigator:
    k, attended = GOLDEN[logits].shape
    attention = LayerAttention(k, 7, attended, torch.Generator())
    attention.logits.data.copy_(GOLDEN[logits])
    basis = GOLDEN["pca_basis_columns"].T[:GOLDEN["n_eigen"].item()]
    found = GOLDEN[coordinates].clone()
    return Navigator(attention, nn.Parameter(found) if learned else found, basis)


@pytest.mark.parametrize("which", ["all_layers", "first5"])
def test_attention_and_moves(which):
    logits = GOLDEN[f"att_{which}_logits"]
    assert_close(logits.softmax(dim=1), GOLDEN[f"att_{which}_softmax_unsmoothed"][:, :logits.shape[1]])
    found = navigator(f"att_{which}_logits")
    assert_close(found.attention(), GOLDEN[f"att_{which}_weights"], rtol=1e-5, atol=1e-7)
    assert_close(found.moves(), GOLDEN[f"dirs_{which}"], rtol=1e-5, atol=1e-6)


def test_smoothing_is_the_golden_kernel():
    assert_close(smooth(torch.eye(7)[3:4])[0, 2:5], GOLDEN["gaussian_kernel"])
    assert smooth(torch.ones(1, 7)).sub(1).abs().max() < 1e-6


def test_edits_as_the_official_code_makes_them():
    """``scales`` times the golden edit scale, as a strength, is the official edit."""
    directions = navigator("att_all_layers_logits").directions("w", {})
    for i, (k, scale) in enumerate(zip(GOLDEN["edit_direction"].tolist(), GOLDEN["edit_scale"])):
        edited = directions.shift(GOLDEN["w_plus"][i:i + 1], k, (scale * directions.scales[k]).item())
        assert_close(edited[0], GOLDEN["w_plus_edited"][i], rtol=1e-5, atol=1e-6)


def test_diversity_and_gradients():
    found = navigator("att_all_layers_logits")
    loss = diversity(found.moves())
    assert_close(loss, GOLDEN["diversity_loss"], rtol=1e-5, atol=1e-6)
    (0.01 * loss).backward()
    for got, name in ((found.coordinates, "nav"), (found.attention.logits, "att")):
        expected = GOLDEN[f"diversity_grad_{name}_logits_times_0.01"]
        assert (got.grad - expected).abs().max() <= 1e-4 * expected.abs().max()
    given = torch.stack([diversity(moves) for moves in GOLDEN["diversity_delta"]]).mean()
    assert_close(given, GOLDEN["diversity_loss_given_delta"], rtol=1e-5, atol=1e-6)


class ChainGenerator(Generator):
    """The golden toy: tanh of a linear map of the whole w+, 2 x 2 pixels, enlarged."""

    latent_dim = w_dim = 10
    n_layers, resolution, space = 7, 8, "w"

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(GOLDEN["chain_G_weight"].clone())

    def synthesize(self, latent, space=None):
        small = (latent.flatten(1) @ self.weight.T).tanh().view(-1, 3, 2, 2)
        return F.interpolate(small, size=(8, 8), mode="bilinear")

    def activations(self, latent, layer, space=None):
        raise NotImplementedError

    def affine_weights(self, layers="all"):
        raise NotImplementedError


class ChainExtractor(FeatureExtractor):
    """The golden toy: two convolutions with ReLU."""

    def maps(self, images):
        first = F.conv2d(images, GOLDEN["chain_S_conv1"], padding=1).relu()
        return [first, F.conv2d(first, GOLDEN["chain_S_conv2"], stride=2, padding=1).relu()]

    def features(self, images):
        raise NotImplementedError

    def fingerprint(self):
        return "chain"


@pytest.mark.parametrize("chunk", [100, 1])
def test_the_whole_chain(chunk):
    found = navigator("chain_att_logits")
    moves, method = found.moves(), ContraFeat(n_directions=6, batch=4)
    eye = Eye(ChainGenerator().freeze(), ChainExtractor(), "w", chunk)
    scales = torch.stack([GOLDEN["chain_scale_q_and_pos"], GOLDEN["chain_scale_neg"]])
    loss = method.binary_loss(eye, moves, GOLDEN["chain_w"], GOLDEN["chain_pos_neg_idx"], scales)
    assert_close(loss, GOLDEN["chain_contrast_loss"], rtol=1e-4, atol=1e-6)
    assert_close(diversity(moves), GOLDEN["chain_diversity"], rtol=1e-5, atol=1e-6)
    total = loss + method.diversity_weight * diversity(moves)  # of two signs: it is smaller than its terms
    assert_close(total, GOLDEN["chain_total"], rtol=2e-3, atol=0)
    total.backward()
    for got, name in ((found.coordinates, "nav"), (found.attention.logits, "att")):
        expected = GOLDEN[f"chain_grad_{name}_logits"]
        assert (got.grad - expected).abs().max() <= 5e-4 * expected.abs().max()


# -- layer-wise directions -----------------------------------------------------------------------------------
def test_one_strength_means_the_same_as_for_global_and_chosen_layers(tmp_path):
    rng = torch.Generator().manual_seed(0)
    vectors, latents = torch.randn(2, 5, generator=rng), torch.randn(3, 5, generator=rng)
    even = Layerwise(vectors, torch.full((2, 4), 0.25), "w")
    whole = Vectors(vectors, "w").shift_all(latents, 3.0)
    assert_close(even.shift_all(latents, 3.0), whole[:, None].expand(-1, 4, -1))
    chosen = Layerwise(vectors, torch.tensor([[0.0, 0.1, 0.1, 0.0]] * 2), "w")
    assert_close(chosen.shift_all(latents, 3.0),
                 Vectors(vectors, "w", layers=(1, 2), n_layers=4).shift_all(latents, 3.0))
    attention = torch.tensor([[1.0, 2.0, 4.0, 0.0], [3.0, 0.0, 0.0, 0.0]])
    uneven = Layerwise(vectors, attention, "w", torch.tensor([2.0, 1.0]))
    assert_close(uneven.moves(latents, torch.tensor([0]))[0, 0].norm(dim=1), torch.tensor([0.25, 0.5, 1.0, 0.0]))
    picked = uneven.select([1])
    picked.save(tmp_path / "d")
    loaded = Directions.load(tmp_path / "d")
    assert_close(loaded.shift_all(latents, 1.0), uneven.shift(latents, 1, 1.0))
    assert loaded.scales.tolist() == [1.0]


@pytest.mark.parametrize("vectors, attention", [
    (torch.zeros(1, 3), torch.ones(1, 2)), (torch.ones(1, 3), torch.zeros(1, 2)),
    (torch.ones(1, 3), torch.tensor([[1.0, -1.0]])), (torch.ones(1, 3), torch.tensor([[1.0, math.nan]]))])
def test_layerwise_refuses_nonsense(vectors, attention):
    with pytest.raises(ValueError, match="finite and non-zero and attention not negative"):
        Layerwise(vectors, attention, "w")


# -- the method ----------------------------------------------------------------------------------------------
def tiny(cls=ContraFeat, **kwargs):
    sizes = {} if cls is SeFaAttention else {"n_samples": 500}
    return cls(**{"n_directions": 4, "n_steps": 6, "batch": 4, **sizes} | kwargs)


def context(**kwargs):
    return Context(extractor=PlantedExtractor(), **kwargs)


BOTH = pytest.mark.parametrize("variant", ["binary", "prototype"])


@BOTH
def test_the_loss_falls(variant):
    method = tiny(variant=variant, n_steps=60, n_directions=3)
    assert gain(method, lambda m, s: m.discover(PlantedGenerator(), context(seed=s)), seeds=3) > 0.02  # 0.35 +- 0.06


@BOTH
def test_images_are_as_planned_and_originals_carry_no_graph(variant):
    gan, method, graphs = PlantedGenerator(), tiny(variant=variant), {True: 0, False: 0}
    original = gan.synthesize

    def watched(latents, space=None):
        graphs[torch.is_grad_enabled()] += len(latents)
        return original(latents, space)

    object.__setattr__(gan, "synthesize", watched)
    with count_images(gan) as count:
        method.discover(gan, context(chunk=3))
    assert count.images == method.images() == 6 * (10 if variant == "binary" else 8)
    share = graphs[True] / sum(graphs.values())
    assert share == (0.6 if variant == "binary" else 0.5)


@BOTH
def test_an_interrupted_run_continues_to_the_identical_answer(variant, tmp_path, monkeypatch):
    method, path = tiny(variant=variant), tmp_path / "c"
    whole = method.discover(PlantedGenerator(), context())
    monkeypatch.setattr(_training, "SAVE_SECONDS", 0)

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method.discover(PlantedGenerator(), context(checkpoint=path, progress=stop))
    found = method.discover(PlantedGenerator(), context(checkpoint=path))
    assert torch.equal(found.vectors, whole.vectors) and torch.equal(found.attention, whole.attention)
    assert found.notes == whole.notes


def test_directions_stay_in_the_leading_components():
    gan, seen = PlantedGenerator(), context(seed=3)
    found = tiny(n_components=5).discover(gan, seen)
    leading = GANSpace(n_directions=5, n_samples=20_000).discover(gan, seen).vectors
    assert (found.vectors @ leading.T).norm(dim=1).min() > 0.95  # both estimate the components, from other samples
    free = tiny(n_components=300).discover(gan, seen)
    assert (free.vectors @ leading.T).norm(dim=1).max() < 0.9


@pytest.mark.parametrize("cls, base", [(SeFaAttention, SeFa(n_directions=4)),
                                       (GANSpaceAttention, GANSpace(n_directions=4, n_samples=500))])
@BOTH
def test_attention_on_top_keeps_the_directions_and_learns_the_layers(cls, base, variant):
    gan = PlantedGenerator()
    found = tiny(cls, variant=variant).discover(gan, context())
    assert_close(found.vectors, base.discover(gan, context()).vectors)
    start = tiny(cls, variant=variant, lr=0.0).discover(gan, context())
    assert_close(found.vectors, start.vectors)
    assert (found.attention - start.attention).abs().max() > 1e-3


def test_attended_layers_and_styles():
    gan = PlantedGenerator()
    first, second, third = tiny(attended_layers=2).discover(gan, context()).attention.T
    # the third layer has only what smoothing lets through, which the first two tell
    assert_close(second, SIDE * (first - third) / CENTRE + CENTRE * third / (2 * SIDE), rtol=0, atol=1e-5)
    starts = tiny(styles=2).starts(gan, "w", torch.Generator().manual_seed(0))
    assert starts.shape == (4, 3, 32)
    assert torch.equal(starts[:, 0], starts[:, 1]) and not torch.equal(starts[:, 1], starts[:, 2])
    assert tiny(styles=99).starts(gan, "w", torch.Generator()).shape == (4, 3, 32)


@pytest.mark.parametrize("cls", [ContraFeat, SeFaAttention, GANSpaceAttention])
def test_not_for_generators_without_layers(cls):
    gan = PlantedGenerator(space="z")
    object.__setattr__(gan, "n_layers", 0)
    with pytest.raises(NotApplicable, match="not layer-wise"):
        tiny(cls).discover(gan, context())


def test_too_high_a_learning_rate_is_said():
    with pytest.raises(DiscoveryError, match=r"contrafeat.*likely the learning rate is too high"):
        tiny(lr=math.inf).discover(PlantedGenerator(), context())


@pytest.mark.parametrize("params, words", [
    ({"variant": "ternary"}, "variant='ternary', expected one of binary, prototype"),
    ({"mask": "soft"}, "mask='soft', expected one of squared, linear, none, pooled"),
    ({"batch": 5}, "batch=5, but the binary variant needs an even number"),
    ({"n_directions": 1}, "n_directions=1, expected 2 or more")])
def test_wrong_settings_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        METHODS.build("contrafeat", params)


def test_more_attended_layers_than_there_are():
    with pytest.raises(ValueError, match="attended_layers=9, but the generator has only 3 layers"):
        tiny(attended_layers=9).discover(PlantedGenerator(), context())
