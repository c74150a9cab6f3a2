"""Strangers' generators that are wrong in one way each: what is changed in the one that ``new generator`` writes."""

from __future__ import annotations

from pathlib import Path

from dirbench.benchmarks import templates

LAST_LINE = "return image if image.dtype == torch.float64 else image.float()"
MAP = "def map(self, z: Tensor) -> Tensor:"
# name: (what is replaced, by what, the clause that says so, words of its sentence)
WRONG: dict[str, tuple[str, str, str, str]] = {
    "images without a batch": (
        LAST_LINE, "return image[0].float()",
        "makes images", "images are [3, 32, 32] for 3 latents, expected a tensor of images"),
    "images with channels last": (
        LAST_LINE, "return image.float().permute(0, 2, 3, 1)",
        "makes images", "expected [3, 3, 32, 32]"),
    "another size than it says": (
        "resolution = 32", "resolution = 64", "makes images", "images are [3, 3, 32, 32], expected [3, 3, 64, 64]"),
    "a NumPy array": (
        LAST_LINE, "return image.detach().numpy()",
        "makes images", "synthesize returns a ndarray, expected a tensor of images"),
    "a tuple": (
        LAST_LINE, "return image.float(), None",
        "makes images", "synthesize returns a tuple, expected a tensor of images"),
    "nothing": (
        LAST_LINE, "image.float()",
        "makes images", "synthesize returns a NoneType, expected a tensor of images"),
    "numbers up to 255": (
        LAST_LINE, "return 127.5 * (image.float() + 1)",
        "images lie in minus one to one", "expected about [-1, 1]"),
    "numbers from 0 to 1": (
        LAST_LINE, "return image.float() / 2 + 0.5",
        "images lie in minus one to one", "expected about [-1, 1]"),
    "float16": (
        LAST_LINE, "return image.half()",
        "makes images", "images are torch.float16, expected torch.float32"),
    "float64": (
        LAST_LINE, "return image.double()",
        "makes images", "images are torch.float64, expected torch.float32"),
    "bytes": (
        LAST_LINE, "return (127.5 * (image + 1)).byte()",
        "makes images", "images are torch.uint8, expected torch.float32"),
    "nan": (
        LAST_LINE, "return image.float() * float('nan')",
        "makes images", "not finite"),
    "noise": (
        "x = F.leaky_relu(x, 0.2)", "x = F.leaky_relu(x, 0.2) + torch.randn_like(x)",
        "same latent same image", "is dropout on, or noise drawn anew?"),
    "training mode": (
        "x = F.leaky_relu(x, 0.2)", "x = F.dropout(F.leaky_relu(x, 0.2))",
        "same latent same image", "is dropout on, or noise drawn anew?"),
    "it goes back to training": (
        MAP,
        "def eval(self):\n        return self\n\n    def map(self, z: Tensor) -> Tensor:",
        "is frozen and stays as it is", "evaluation mode"),
    "statistics of the batch": (
        "x = F.leaky_relu(x, 0.2)", "x = F.leaky_relu(x, 0.2) - x.mean(dim=0)",
        "batch does not matter", "with the other images in its batch"),
    "weights that want gradients": (
        MAP,
        "def freeze(self):\n        return self.eval()\n\n    def map(self, z: Tensor) -> Tensor:",
        "is frozen and stays as it is", "switch weight gradients off"),
    "freeze returns nothing": (
        MAP,
        "def freeze(self):\n        self.eval().requires_grad_(False)\n\n    def map(self, z: Tensor) -> Tensor:",
        "is frozen and stays as it is", "freeze() must return the generator itself"),
    "latents from the global source": (
        MAP,
        "def sample_z(self, n, rng):\n        return torch.randn(n, self.latent_dim)\n\n"
        "    def map(self, z: Tensor) -> Tensor:",
        "samples latents from the given source alone", "draw from rng alone"),
    "latents of another size": (
        MAP,
        "def sample_z(self, n, rng):\n        return torch.randn(n, self.latent_dim, 1, 1, generator=rng)\n\n"
        "    def map(self, z: Tensor) -> Tensor:",
        "samples latents from the given source alone", "expected z [N, 64]"),
    "latents that stay on the cpu": (
        MAP,
        "def sample_z(self, n, rng):\n        return torch.randn(n, self.latent_dim, generator=rng)\n\n"
        "    def map(self, z: Tensor) -> Tensor:",
        "draws on the cpu then moves", "draw on the CPU, then move"),
    "a map that is not used": (
        'self.map(latent) if self.check_space(space) == "z" else latent', "self.map(latent)",
        "z and w agree", "the image of z is not that of map(z)"),
    "no map": (
        "return self.mapping(z.to(self.start.dtype))", "raise NotImplementedError",
        "samples latents from the given source alone", "NotImplementedError"),
    "a space that does not exist": (
        'space = "w"  #', 'space = "latent"  #', "names its sizes", "check_space refuses its own space 'latent'"),
    "no layers": ('layer_names = ("b4", "b8", "b16", "b32")', "layer_names = ()", "names its sizes", "layer_names is"),
    "one layer too many": (
        'layer_names = ("b4", "b8", "b16", "b32")', 'layer_names = ("b4", "b8", "b16", "b32", "b64")',
        "makes images", "synthesize of latents [3, 64] of w fails: IndexError: index 4"),
    "layers as a text": ('layer_names = ("b4", "b8", "b16", "b32")', 'layer_names = "b4"', "names its sizes", "tuple"),
    "rows of w+ that are not taken": (
        "rows = w[:, None].expand(-1, self.n_layers, -1) if w.ndim == 2 else w",
        "rows = w[:, None].expand(-1, self.n_layers, -1)", "equal rows are the vector", "latents [3, 4, 64]"),
    "a row that does nothing": (
        "(rows[:, i]))[:, :, None, None])", "(rows[:, 0]))[:, :, None, None])", "every row matters", "row 1 of a"),
    "flat activations": (
        "return self._run(latent, space, self.check_layer(layer))",
        "return self._run(latent, space, self.check_layer(layer)).flatten(1)",
        "gives activations", "expected [3, C, H, W]"),
    "activations under another name": (
        "return self._run(latent, space, self.check_layer(layer))", "return self._run(latent, space, layer)",
        "gives activations", "nowhere"),
    "no gradient": (
        "image = torch.tanh(self.to_image(self._run(latent, space, self.layer_names[-1])))",
        "image = torch.tanh(self.to_image(self._run(latent, space, self.layer_names[-1]).detach()))",
        "gradients reach the latent", "no gradient to the latent"),
    "a tensor that is left behind": (
        "x = self.start.expand(len(rows), -1, -1, -1)",
        "x = self.start.expand(len(rows), -1, -1, -1) * torch.ones(len(rows), 1, 1, 1)",
        "moves with its weights", "register_buffer"),
    "affine weights the other way round": (
        "return [self.styles[i].weight.detach() for i", "return [self.styles[i].weight.detach().T for i",
        "gives affine weights", "expected [out, 64]"),
    "one affine weight": (
        "return [self.styles[i].weight.detach() for i in (range(self.n_layers) if chosen is None else chosen)]",
        "return self.styles[0].weight.detach()",
        "gives affine weights", "affine_weights returns a Tensor, expected a list"),
    "a size that is no number": ("resolution = 32", 'resolution = "32"', "names its sizes", "resolution is '32'"),
    "constant images": (
        "image = torch.tanh(self.to_image(self._run(latent, space, self.layer_names[-1])))",
        "image = torch.tanh(self.to_image(self._run(0 * latent, space, self.layer_names[-1])))",
        "makes images", "does the latent enter at all?"),
}


def write(folder: Path, stem: str, old: str = "", new: str = "") -> Path:
    """Writes a stranger's generator and its YAML into ``folder`` with ``old`` replaced; returns the YAML's path."""
    code = templates.GENERATOR.replace("CLASS", "Net")
    assert not old or code.count(old) >= 1, old
    (folder / f"{stem}.py").write_text(code.replace(old, new) if old else code)
    path = folder / f"{stem}.yaml"
    path.write_text(templates.GENERATOR_YAML.replace("STEM", stem).replace("CLASS", "Net"))
    return path
