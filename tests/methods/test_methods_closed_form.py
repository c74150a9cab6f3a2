"""SeFa, GANSpace and InterFaceGAN against the numbers of their official code, and against answers worked out by hand.

The arrays in ``tests/golden`` are outputs of the authors' public code (float32, CPU); keys with ``float64`` are the
same problem solved in double precision.
"""

from __future__ import annotations

import helpers
import numpy as np
import pytest
import torch
from helpers.planted import DIM, PlantedGenerator, PlantedOracle, recovery
from torch import Tensor

from dirbench.directions import Vectors
from dirbench.errors import DiscoveryError
from dirbench.generator import Generator
from dirbench.method import Context
from dirbench.methods._linalg import Components, Covariance, least_squares, principal_components, project_out
from dirbench.methods.coordinate import Coordinate
from dirbench.methods.ganspace import GANSpace, to_coordinates
from dirbench.methods.interfacegan import InterFaceGAN, extremes, svm_boundary
from dirbench.methods.random_directions import RandomDirections
from dirbench.methods.sefa import SeFa
from dirbench.sampling import BLOCK, latent_blocks

pytestmark = pytest.mark.numeric


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(helpers.GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


SEFA, GANSPACE, INTERFACE = golden("sefa"), golden("ganspace"), golden("interfacegan")


def tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(array))


def sign_fixed(rows: Tensor) -> Tensor:
    return rows * rows.gather(1, rows.abs().argmax(dim=1, keepdim=True)).sign()


class Weights(Generator):
    """A generator of which only the affine weights exist."""

    def __init__(self, weights: list[Tensor], mapped: bool) -> None:
        super().__init__()
        self.weights, self.latent_dim, self.n_layers = weights, weights[0].shape[1], len(weights)
        self.w_dim, self.space = (self.latent_dim, "w") if mapped else (0, "z")

    def affine_weights(self, layers="all"):
        return [self.weights[i] for i in self.layer_ids(layers) or range(len(self.weights))]

    def synthesize(self, latent, space=None):
        raise AssertionError("SeFa needs no images")

    def activations(self, latent, layer, space=None):
        raise AssertionError("SeFa needs no activations")


# -- SeFa ------------------------------------------------------------------------------------------------
def sefa_case(name: str) -> tuple[Generator, dict]:
    if name == "pggan":  # the first convolution [out, D, 4, 4], one row for each output value
        rows = tensor(SEFA["pggan_layer0_weight"]).permute(0, 2, 3, 1).flatten(0, 2)
        return Weights([rows], mapped=False), {}
    styles = Weights([tensor(SEFA[f"style_weight_{i}"]) for i in range(5)], mapped=True)
    return styles, {"layers": tuple(SEFA["subset_layers"].tolist())} if name == "subset" else {}


@pytest.mark.parametrize("name", ["all", "subset", "pggan"])
def test_sefa_gives_the_official_directions(name):
    generator, params = sefa_case(name)
    found = SeFa(n_directions=14, **params).discover(generator, Context())
    torch.testing.assert_close(found.notes["eigenvalues"], SEFA[f"{name}_float64_eigenvalues"].tolist(),
                               rtol=1e-5, atol=1e-5)
    for key in ("float64_eigenvectors_signfixed", "sorted_eigenvectors_signfixed"):
        expected = tensor(SEFA[f"{name}_{key}"]).float()
        torch.testing.assert_close(sign_fixed(found.vectors), expected, atol=1e-4, rtol=0)
    assert found.space == ("z" if name == "pggan" else "w")
    assert found.layers == ((1, 3) if name == "subset" else None)


def test_sefa_without_row_normalisation():
    generator, _ = sefa_case("all")
    found = SeFa(n_directions=14, normalize_rows=False).discover(generator, Context())
    torch.testing.assert_close(found.notes["eigenvalues"],
                               SEFA["all_eigenvalues_if_not_row_normalised"].tolist(), rtol=1e-5, atol=1e-5)


def test_sefa_edits_the_chosen_layers_only():
    code, direction = tensor(SEFA["edit_code"]), tensor(SEFA["edit_direction"])
    layers = tuple(SEFA["subset_layers"].tolist())
    edit = Vectors(direction[None], "w", layers=layers, n_layers=5)
    torch.testing.assert_close(edit.shift(code, 0, float(SEFA["edit_distances"][8])), tensor(SEFA["edit_result_step8"]),
                               atol=1e-5, rtol=0)


def test_sefa_refuses_what_cannot_be():
    generator, _ = sefa_case("all")
    with pytest.raises(ValueError, match="n_directions=15, but the latent has only 14"):
        SeFa(n_directions=15).discover(generator, Context())
    with pytest.raises(ValueError, match="layers \\[5\\] are out of range"):
        SeFa(n_directions=3, layers=(0, 5)).discover(generator, Context())
    broken = Weights([torch.full((4, 14), torch.nan)], mapped=True)
    with pytest.raises(DiscoveryError, match="NaN"):
        SeFa(n_directions=3).discover(broken, Context())


# -- GANSpace --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("block", [1600, 500, 7])
def test_ganspace_pca_is_the_official_one_however_it_is_streamed(block):
    rows = tensor(GANSPACE["samples_float16"]).float()
    k = int(GANSPACE["n_components"])
    pca = principal_components(lambda: iter(rows.split(block)), k, "rows", Context(), len(rows))
    torch.testing.assert_close(pca.mean.float(), tensor(GANSPACE["mean"])[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(pca.stdev.float(), tensor(GANSPACE["pca_stdev"]), rtol=1e-5, atol=0)
    torch.testing.assert_close(pca.ratio.float(), tensor(GANSPACE["pca_var_ratio"]), rtol=3e-5, atol=0)
    torch.testing.assert_close(pca.vectors, tensor(GANSPACE["pca_components_float64_signfixed"]), atol=1e-5, rtol=0)
    torch.testing.assert_close(pca.vectors.float(), tensor(GANSPACE["pca_components_signfixed"]), atol=1e-3, rtol=0)


def test_ganspace_incremental_pca_is_approximately_the_same():
    rows = tensor(GANSPACE["samples_float16"]).float()[: int(GANSPACE["ipca_samples_used"])]
    pca = principal_components(lambda: iter([rows]), int(GANSPACE["n_components"]), "rows", Context(), len(rows))
    cosines = (pca.vectors * tensor(GANSPACE["ipca_components_signfixed"])).sum(dim=1)
    assert (cosines > 0.995).all()
    torch.testing.assert_close(pca.stdev, tensor(GANSPACE["ipca_stdev"]), rtol=1e-2, atol=0)


def test_covariance_keeps_its_digits_far_from_zero():
    rows = torch.randn(5000, 6, generator=torch.Generator().manual_seed(0)) + 1000
    covariance = Covariance()
    for block in rows.split(999):
        covariance.add(block)
    expected = torch.cov(rows.double().T, correction=0)
    torch.testing.assert_close(covariance.value, expected, atol=1e-5, rtol=1e-5)
    assert covariance.trace == pytest.approx(expected.trace().item(), rel=1e-6)


def test_ganspace_regression_is_the_official_one():
    latents = tensor(GANSPACE["reg_latents_float16"]).float()
    activations = latents @ tensor(GANSPACE["reg_layer_weight"]) + tensor(GANSPACE["reg_layer_bias"])
    pca = Components(tensor(GANSPACE["reg_act_mean"])[0].double(), tensor(GANSPACE["reg_act_comp"]).double(),
                     tensor(GANSPACE["reg_act_stdev"]).double(), torch.ones(7))
    found = least_squares(to_coordinates(activations, pca), latents)
    torch.testing.assert_close(found.float(), tensor(GANSPACE["reg_Z_comp_unnormalised"]), atol=1e-4, rtol=0)
    torch.testing.assert_close(Vectors(found, "z").vectors, tensor(GANSPACE["reg_Z_comp"]), atol=1e-4, rtol=0)


def test_ganspace_edit_is_sigma_times_the_component():
    j, sigma = int(GANSPACE["edit_component"]), float(GANSPACE["edit_sigma"])
    found = Vectors(tensor(GANSPACE["pca_components"]), "w", tensor(GANSPACE["pca_stdev"]))
    edited = found.shift(tensor(GANSPACE["edit_w"]), j, sigma * found.scales[j].item())
    torch.testing.assert_close(edited, tensor(GANSPACE["edit_result"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("columns", [40, 3000])  # exact covariance, randomised subspace
def test_pca_of_rows_of_low_rank(columns):
    rng = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(columns, 9, generator=rng)).Q.T
    rows = 5 + (torch.randn(300, 9, generator=rng) * torch.linspace(3, 1, 9)) @ basis
    calls = []
    pca = principal_components(lambda: iter(rows.split(50)), 5, "rows",
                               Context(progress=lambda done, total: calls.append((done, total))), len(rows), rank=9)
    expected = torch.linalg.svd(rows.double() - rows.double().mean(dim=0), full_matrices=False)
    torch.testing.assert_close(pca.stdev, expected.S[:5] / len(rows) ** 0.5, rtol=1e-4, atol=0)
    assert ((pca.vectors * expected.Vh[:5]).sum(dim=1).abs() > 1 - 1e-6).all()
    assert pca.ratio.sum().item() == pytest.approx((expected.S[:5].square().sum() / expected.S.square().sum()).item(),
                                                   rel=1e-4)
    assert calls == sorted(calls) and calls[-1] == (len(calls) // 6 * 300,) * 2


def test_ganspace_scales_are_standard_deviations_of_the_latent():
    for space, params in (("w", {}), ("w", {"layer": "s8"}), ("z", {})):
        gan = PlantedGenerator(space=space)
        found = GANSpace(n_directions=6, n_samples=4000, n_regression=2000, **params).discover(gan, Context())
        along = (gan.sample(20_000, torch.Generator().manual_seed(3), space) @ found.vectors.T).std(dim=0)
        # 4000 draws know a deviation to 1 / sqrt(8000) = 1.1%, the fit of a layer to about 1.5%
        torch.testing.assert_close(found.scales, along, rtol=0.1, atol=0)
        assert found.space == space and recovery(found, gan) > 0.9  # over seeds 0.987 +- 0.01
        assert found.notes["pca_of"] == params.get("layer", {"w": "w", "z": "s4"}[space])


def test_ganspace_moves_the_chosen_layers_only():
    gan = PlantedGenerator()
    found = GANSpace(n_directions=3, n_samples=500, layers=(0, 2)).discover(gan, Context())
    moved = found.moves(torch.zeros(1, DIM), torch.arange(3))[:, 0]
    assert moved.shape == (3, gan.n_layers, DIM)
    torch.testing.assert_close(moved.norm(dim=2), torch.tensor([[1.0, 0.0, 1.0]]).expand(3, 3))


def test_ganspace_refuses_what_cannot_be():
    gan = PlantedGenerator()
    with pytest.raises(ValueError, match="n_directions=33, but the latent has only 32"):
        GANSpace(n_directions=33).discover(gan, Context())
    with pytest.raises(ValueError, match="must both exceed n_directions=16"):
        GANSpace(n_samples=16).discover(gan, Context())
    with pytest.raises(ValueError, match="no layer 's5'"):
        GANSpace(layer="s5").discover(gan, Context())
    gan.affine[0].data[:] = 0
    gan.affine[0].data[0, 0] = 1
    with pytest.raises(DiscoveryError, match="vary in only 1 dimensions"):
        GANSpace(layer="s4", n_samples=200).discover(gan, Context())


def test_latents_come_in_one_order_whatever_the_block():
    gan = PlantedGenerator(space="z")
    few = torch.cat(list(latent_blocks(gan, 100, torch.Generator().manual_seed(0), "z")))
    many = list(latent_blocks(gan, BLOCK + 5, torch.Generator().manual_seed(0), "z"))
    assert [len(block) for block in many] == [BLOCK, 5]
    assert torch.equal(many[0][:100], few)
    assert torch.is_grad_enabled()


# -- InterFaceGAN ------------------------------------------------------------------------------------------
INTERFACE_CASES = [("ratio0.1_split0.7", "scores", 50, 35), ("ratio0.2_split1", "scores", 100, 100),
                   ("num60_split0.7_invalid", "scores_with_invalid", 60, 42)]


@pytest.mark.parametrize(("name", "scores", "chosen", "n_train"), INTERFACE_CASES)
def test_interfacegan_boundary_is_the_official_one(name, scores, chosen, n_train):
    latents, scores = tensor(INTERFACE["latents"]), tensor(INTERFACE[scores])[:, 0]
    valid = scores != scores.min() if scores.min() < -50 else torch.ones(len(scores), dtype=torch.bool)
    latents, scores = latents[valid], scores[valid]
    high, low = extremes(scores, chosen)
    high, low = high[tensor(INTERFACE[f"{name}_positive_order"])], low[tensor(INTERFACE[f"{name}_negative_order"])]
    normal, offset = svm_boundary(latents[high[:n_train]], latents[low[:n_train]])
    torch.testing.assert_close(normal.float(), tensor(INTERFACE[f"{name}_boundary"])[0], atol=2e-3, rtol=0)
    if n_train < chosen:
        right = torch.cat((latents[high[n_train:]].double() @ normal + offset > 0,
                           latents[low[n_train:]].double() @ normal + offset < 0)).double().mean()
        assert right.item() == pytest.approx(INTERFACE[f"{name}_accuracies_val_then_remaining"][0], abs=1e-5)


def test_interfacegan_projection_is_the_official_one():
    primal, conditions = tensor(INTERFACE["primal"])[0], tensor(INTERFACE["conditions"])[:, 0]
    for n in range(5):
        found = Vectors(project_out(primal, conditions[:n])[None], "w").vectors
        torch.testing.assert_close(found, tensor(INTERFACE[f"projected_{n}_conditions"]), atol=1e-5, rtol=0)
    doubled = project_out(primal, conditions[[0, 1, 0]])  # a condition named twice counts once
    torch.testing.assert_close(doubled, project_out(primal, conditions[:2]), atol=1e-6, rtol=0)


def test_interfacegan_edit_of_w_plus():
    start, end, steps = INTERFACE["interp_start_end_steps"]
    boundary = Vectors(tensor(INTERFACE["interp_boundary"]), "w")
    code = tensor(INTERFACE["interp_wplus_code"])
    for distance, expected in zip(np.linspace(start, end, int(steps)), tensor(INTERFACE["interp_wplus_result"])):
        torch.testing.assert_close(boundary.shift(code, 0, float(distance))[0], expected, atol=1e-5, rtol=0)


def mixed_teacher(readable=None) -> PlantedOracle:
    """Reads factors 0 to 3, but attribute 1 also off factor 0: a shortcut, as between beard and man."""
    teacher = PlantedOracle((0, 1, 2, 3), readable)
    teacher.patterns[1] += 0.7 * teacher.patterns[0]
    return teacher


def test_interfacegan_points_at_more_and_conditions_disentangle():
    gan = PlantedGenerator(space="z")
    cosine = {}
    for n in (0, 1):
        method = InterFaceGAN(n_directions=4, n_samples=4000, n_conditions=n)
        found = method.discover(gan, Context(teacher=mixed_teacher()))
        notes = found.notes
        assert sorted(notes["attributes"]) == [f"factor_{i}" for i in range(4)] and all(notes["supported"])
        assert min(notes["accuracy"]) > 0.9
        at = notes["attributes"].index("factor_1")
        assert notes["conditions"][at] == ["factor_0"][:n]
        cosine[n] = (found.vectors[at] @ gan.planted[:2].T).tolist()
        more = gan.synthesize(found.shift(gan.sample_z(64, torch.Generator().manual_seed(0)), at, 1.0))
        less = gan.synthesize(found.shift(gan.sample_z(64, torch.Generator().manual_seed(0)), at, -1.0))
        assert (mixed_teacher().logits(more) - mixed_teacher().logits(less))[:, 1].mean() > 0.5
    assert cosine[0][0] > 0.5  # unconditioned, the edit drags factor 0 along
    assert abs(cosine[1][0]) < 0.1 and cosine[1][1] > 0.95


def test_interfacegan_passes_over_another_name_for_the_same_thing():
    teacher = PlantedOracle((0, 1))
    teacher.names, teacher.readable = ("a", "b", "same_as_a"), (True,) * 3
    teacher.patterns = torch.cat((teacher.patterns, teacher.patterns[:1] + 0.1 * teacher.patterns[1:]))
    found = InterFaceGAN(n_directions=3, n_samples=2000, n_conditions=1).discover(
        PlantedGenerator(), Context(teacher=teacher))
    conditions = dict(zip(found.notes["attributes"], found.notes["conditions"]))
    assert conditions["a"] == ["b"] and conditions["same_as_a"] == ["b"]


def test_interfacegan_takes_unreadable_and_constant_attributes_last():
    teacher = mixed_teacher(readable=(False, True, True, True))
    found = InterFaceGAN(n_directions=4, n_samples=2000).discover(PlantedGenerator(), Context(teacher=teacher))
    assert found.notes["attributes"][-1] == "factor_0" and found.notes["supported"] == [True] * 3 + [False]
    assert all("factor_0" not in names for names in found.notes["conditions"])

    class OneSided(PlantedOracle):
        def logits(self, images):
            return super().logits(images) + torch.tensor([0.0, 50.0])

    found = InterFaceGAN(n_directions=2, n_samples=1000).discover(PlantedGenerator(), Context(teacher=OneSided((0, 1))))
    assert found.notes["attributes"] == ["factor_0", "factor_1"] and found.notes["supported"] == [True, False]


def test_interfacegan_says_what_is_missing():
    with pytest.raises(ValueError, match="interfacegan needs a context with teacher"):
        InterFaceGAN().discover(PlantedGenerator(), Context())
    with pytest.raises(DiscoveryError, match="knows only 4 attributes"):
        InterFaceGAN(n_directions=5).discover(PlantedGenerator(), Context(teacher=mixed_teacher()))
    with pytest.raises(ValueError, match="n_samples=39, expected 40 or more"):
        InterFaceGAN(n_directions=2, n_samples=39).discover(PlantedGenerator(), Context(teacher=mixed_teacher()))
    with pytest.raises(ValueError, match="train_share=1"):
        InterFaceGAN(n_directions=2, train_share=1.0).discover(PlantedGenerator(), Context(teacher=mixed_teacher()))
    with pytest.raises(ValueError, match='"w\\+" is not searched'):
        InterFaceGAN(n_directions=2, space="w+").discover(PlantedGenerator(), Context(teacher=mixed_teacher()))


# -- baselines ---------------------------------------------------------------------------------------------
def test_coordinate_directions_are_different_axes():
    found = Coordinate(n_directions=DIM).discover(PlantedGenerator(), Context())
    assert torch.equal(found.vectors, torch.eye(DIM)) and found.notes["axes"] == list(range(DIM))
    few = Coordinate(n_directions=4).discover(PlantedGenerator(), Context(seed=1))
    assert torch.equal(few.vectors.argmax(dim=1), torch.tensor(few.notes["axes"])) and len(set(few.notes["axes"])) == 4
    with pytest.raises(ValueError, match="n_directions=33"):
        Coordinate(n_directions=33).discover(PlantedGenerator(), Context())


def test_random_directions_are_isotropic():
    vectors = RandomDirections(n_directions=4000).discover(PlantedGenerator(), Context()).vectors
    second = vectors.T @ vectors / len(vectors)  # expectation: identity / D, standard error about 0.0007
    torch.testing.assert_close(second, torch.eye(DIM) / DIM, atol=0.0045, rtol=0)
    assert vectors.mean(dim=0).abs().max() < 0.0165  # 1 / sqrt(4000 * 32) = 0.0028, of 32 numbers
