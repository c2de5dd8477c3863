"""Sweeps on drawn characters: no files, no network, a few seconds."""

SMALL = """\
name: small
question: Does pretraining on drawn digits help on other drawn digits?
model: {name: lenet5}
data: {name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 3, evaluate_every: {steps: 4}}
pretrain:
  drawn:
    data: {name: glyphs, count: 300, seed: 2, train: 200, validation: 50}
    train: {epochs: 2, augment: {rotate: 15}}
arms:
  scratch: {}
  pretrained: {initialize: drawn}
seeds: 2
compare: [{treatment: pretrained, control: scratch}]
measure: {targets: [0.3, 0.5], equivalence: 0.01}
profiles:
  longer: {train: {epochs: 12}}
"""

# For cards: two arms that differ in one setting, so that a GPU may train their seeds as one.
ON_CARDS = """\
name: cards
question: Does it run on cards?
model: {name: lenet5}
data: {name: glyphs, count: 300, seed: 1, train: 200, validation: 50, test: 50}
train: {epochs: 2, batch_size: 32}
arms: {slow: {}, fast: {train: {learning_rate: 3.0e-3}}}
seeds: 2
resources: {gpus: 1, pack: 1}
"""
