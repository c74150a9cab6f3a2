"""Training of small StyleGAN2 generators: what the mini zoo was made with."""
