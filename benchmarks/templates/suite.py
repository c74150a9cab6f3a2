"""The suite that ``new suite`` writes."""

SUITE = '''\
# Your suite: what is compared. How much is spent on it is a profile's word (--profile smoke, mini or paper).
suite: "NAME"
version: 1                       # raise it when a number may change: versions never mix in one table
title: Say in one line what is compared
zoo: mini                        # the nine small GANs that come along; or your zoo.yaml, or generators: {name: file}
oracle: scorer                   # reads attributes and scores; without one, directions are found and drawn only
teacher: teacher                 # what supervised methods learn from; never the oracle that scores
gans: [full, no_hats, no_glasses]
reference: full                  # pairs are made with it
pairs: reference                 # or all; or none, for scores of single GANs
alpha: 3.0                       # strength of every edit, in units of the latent space
n_directions: 16                 # the same for every method
n_common: 12                     # of them common to both GANs of a pair
methods:
  - random                       # the baseline: run it beside the others
  - sefa
  - ganspace: {n_samples: 5000}  # hyperparameters over the published defaults; `list` names all methods
  - {name: sefa, variant: early, params: {layers: [0, 1]}}  # a second setting has a variant's name
metrics: [alignment, attribute_recovery, effect, s_disen]  # without this line: all that need no training
'''
