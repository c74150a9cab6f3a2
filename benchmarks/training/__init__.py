"""Training: StyleGAN2 (the mini zoo was made with it) and SN-GAN, and the attribute oracles."""
