"""xGA's golden numbers, and the generators, models and extractor that they were made with."""

import numpy as np
import torch
from torch import nn

import helpers
from dirbench.generator import Generator
from dirbench.methods._models import LinearModel
from dirbench.oracle import FeatureExtractor
from dirbench.oracles.networks.density_ratio import DensityRatio

with np.load(helpers.GOLDEN / "xga_loss.npz", allow_pickle=False) as file:
    GOLDEN = {name: torch.from_numpy(file[name]) for name in file.files}


def unit_rows(*shape, seed=0):
    return nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


class Toy(Generator):
    latent_dim, resolution = 5, 1

    def __init__(self, weight):
        super().__init__()
        self.C = nn.Parameter(weight)

    def synthesize(self, latent, space=None):
        return torch.tanh(latent @ self.C.T)[:, :, None, None]

    def activations(self, latent, layer, space=None):
        raise NotImplementedError

    def affine_weights(self, layers="all"):
        raise NotImplementedError


class Projector(FeatureExtractor):
    name, width = "projector", 8

    def features(self, images):
        return images.flatten(1) @ GOLDEN["loop_projector_weight"].T

    def maps(self, images):
        raise NotImplementedError

    def fingerprint(self):
        return "projector"


def golden_ratio():
    ratio = DensityRatio(8)
    parts = [[GOLDEN[f"dre__model{m}.{name}"] for m in (1, 2)]
             for name in ("linear_1.weight", "linear_1.bias", "linear_2.weight")]
    names = ("hidden_weight", "hidden_bias", "out_weight")
    ratio.load_state_dict({name: torch.cat(part) for name, part in zip(names, parts)})
    return ratio.requires_grad_(False)


def golden_models():
    models = nn.ModuleList(LinearModel(6, 5, torch.Generator()) for _ in range(2))
    with torch.no_grad():
        for i, model in enumerate(models):
            for k, row in enumerate(GOLDEN[f"loop_model{i + 1}_before"]):
                model.weight[k].copy_(row[:25].view(5, 5))
                model.bias[k].copy_(row[25:])
    return models


def rows_of(model):
    return torch.stack([torch.cat((w.detach().flatten(), b.detach())) for w, b in zip(model.weight, model.bias)])


def moves(found):
    return torch.stack([d.shift_all(torch.eye(32), 1.0) for d in found])
