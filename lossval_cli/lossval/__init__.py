"""The LossVal method: one symbol of the paper per file, and one training loop."""
