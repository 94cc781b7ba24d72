"""LossVal and its ablations as gradients of their logarithm in the log-weights.

    product     L·OT^p       ∂ log/∂w_n ∝ ℓ_n / L   + p f_n / OT
    additive    L + OT^p     ∂ log/∂w_n ∝ (ℓ_n + p OT^(p−1) f_n) / (L + OT^p)
    loss        L            ∂ log/∂w_n ∝ ℓ_n / L
    transport   OT^p         ∂ log/∂w_n ∝ p f_n / OT

(Wibiral et al., arXiv 2412.04158; L = Σ w_n ℓ_n / N.) The gradient is the sum of a label part and a
feature part, and both are dimensionless. `ot_power` p = 2 is the paper's formula, 1 its unsquared
ablation.

Deviations from the paper (`method = "paper"` has none of them, see paper.py)

 1. The logarithm of the objective is minimised. Its minima are the same, and the label part and the feature
    part of the gradient add up instead of multiplying.
 2. Weights are positive with mean 1: they take one multiplicative (mirror) step per epoch on their logarithm.
    In the paper they are raw parameters that Adam moves on every batch and that may turn negative.
 3. ℓ_n is an out-of-fold loss: the mean over those ensemble members that never train on row n. In the paper
    one network scores the rows it is trained on.
 4. The transport is solved for all N training rows at once, by its entropic semi-dual, with masses w/N that
    sum to 1, and is updated a few times per run. In the paper each batch solves a debiased Sinkhorn problem
    between masses that do not match.
 5. The cost is ¾ + ¼ ‖x − x'‖² / median + the row's outlier penalty, instead of ‖x − x'‖²/2: distance alone
    would drown the labels and overlook a single wrong cell.
 6. The networks minimise Σ w ℓ / Σ w over a batch; L and OT scale the step of the weights alone. In the paper
    the networks descend the product.
 7. Numbers have the loss huber(0.5) of the standardised target instead of the squared error, ordered classes the
    cross-entropy of every boundary between two steps, and networks are
    AdamW-trained ensembles of three layers with SiLU whose inputs are scaled by how much each column says
    about the label.
 8. A row's relative loss ℓ_n / L counts at most 20 in one epoch, so that no epoch uses up the range of its weight.
 9. Sample weights s (all 1 without --weight) multiply the loss and the mass of a row, as if the row stood in
    the table s times.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Objective:
    """Form of the objective, and the power of the transport cost."""

    form: str
    power: int

    @property
    def uses_transport(self) -> bool:
        """True if features count at all."""
        return self.form != "loss" and self.power > 0

    @property
    def uses_loss(self) -> bool:
        """True if labels count at all."""
        return self.form != "transport"

    def factors(self, loss: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of ℓ_n and of f_n in the gradient, for the weighted mean loss L and transport cost OT."""
        if self.form == "additive":
            total = loss + cost**self.power
            return 1 / total, self.power * cost ** max(self.power - 1, 0) / total
        return self.uses_loss / loss, self.uses_transport * self.power / cost
