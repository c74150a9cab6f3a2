"""Image data: rendered faces with known attributes, CelebA, MNIST's IDX files, anybody's folder of images."""
