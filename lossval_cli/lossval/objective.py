"""LossVal and its ablations as gradients of their logarithm in the log-weights.

    product     L·OT^p       ∂ log/∂w_n ∝ ℓ_n / L   + p f_n / OT
    additive    L + OT^p     ∂ log/∂w_n ∝ (ℓ_n + p OT^(p−1) f_n) / (L + OT^p)
    loss        L            ∂ log/∂w_n ∝ ℓ_n / L
    transport   OT^p         ∂ log/∂w_n ∝ p f_n / OT

(Wibiral et al., arXiv 2412.04158; L = Σ w_n ℓ_n / N.) The gradient is the sum of what a row's label did
and what its
features did, and both are without unit. `ot_power` p = 2 is the paper's formula, 1 its unsquared ablation.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Objective:
    """Which form, and the power of the transport cost."""

    form: str
    power: int

    @property
    def uses_transport(self) -> bool:
        """Whether features count at all."""
        return self.form != "loss" and self.power > 0

    @property
    def uses_loss(self) -> bool:
        """Whether labels count at all."""
        return self.form != "transport"

    def factors(self, loss: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of ℓ_n and of f_n in the gradient, for the weighted mean loss L and transport cost OT."""
        if self.form == "additive":
            total = loss + cost**self.power
            return 1 / total, self.power * cost ** max(self.power - 1, 0) / total
        return self.uses_loss / loss, self.uses_transport * self.power / cost
