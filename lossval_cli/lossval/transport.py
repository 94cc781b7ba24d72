"""Entropic optimal transport between the weighted training rows and the validation rows, in N × J memory at
most.

Semi-dual (Genevay et al., 2016). Masses a = w/N on N training rows and b = 1/J on J validation rows, cost

    c(x_n, x'_j) = ‖x_n − x'_j‖² / (2 · scale) + penalty_n

Given the potential g (J,), the best f has a closed form and the plan's row sums are exactly a:

    f_n = −ε log Σ_j b_j exp((g_j − c_nj)/ε)          plan_nj = a_n b_j exp((f_n + g_j − c_nj)/ε)

What is left is to make the column sums b, which Sinkhorn's update does:

    g_j ← g_j − ε log(Σ_n plan_nj / b_j)

With Σ_j b_j g_j = 0 the transport cost is OT_w = Σ_n a_n f_n, and f is its gradient in a. g is kept between
calls, so that after a small change of the masses one sweep is enough.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lossval_cli.runtime.row_loader import Rows, draw_rows
from lossval_cli.runtime.sharing import share

CACHE_ENTRIES = 32_000_000
"""Entries of exp(−c/ε) kept in memory (128 MB in float32); where there are more, every sweep computes them again."""

BLOCK_ENTRIES = 500_000
"""Cost entries handled at once: small enough for the processor's cache, large enough to keep it busy."""

LEAST_TOTAL = 2.0**-100
"""Of a row with a smaller sum, terms may be lost below the least float32: the largest term is factored out. Other rows
are spared the search for it. Powers of two take half the time of powers of e."""

SOLVE_ROWS = 8_192
"""Rows that the first solution is found on in larger tables; a sweep over all rows then measures it."""

SHARED_RANGES = 256
"""Ranges of rows that processes share in a sweep over many: enough for even shares, few enough that one sum over
columns for each is a small message."""

WHOLE_TOLERANCE = 2.0
"""Times the tolerance that a sweep over all rows may be off where it is expensive: what is left is the chance by which
the part was drawn. f then has the ranks of the exact one (Spearman .9996 on three tables), the cost differs by 3e-5."""

REFRESH_SWEEPS = 20
"""Most sweeps of a refresh."""

MEDIAN_ROWS = 1_000
"""Rows of each table that the median cost is estimated from."""


class Potentials(NamedTuple):
    """A solution and its health."""

    f: Tensor  # (N,) potential of each training row, penalty included
    g: Tensor  # (J,) potential of each validation row, mean 0
    cost: float  # OT_w = Σ a_n f_n
    marginal_error: float  # Σ_j |Σ_n plan_nj − b_j| before the last update, from 0 to 2
    converged: bool  # marginal_error ≤ the tolerance asked for


def half_squared_distances(X: Tensor, X_val: Tensor) -> Tensor:
    """‖x_n − x'_j‖²/2 for X (N, D) and X_val (J, D), (N, J), never negative."""
    squares = X.square().sum(1, keepdim=True) + X_val.square().sum(1)
    return torch.addmm(squares, X, X_val.T, alpha=-2).clamp_(min=0).div_(2)


def median_cost(
    X: Rows | Tensor,
    X_val: Tensor,
    generator: torch.Generator,
    weights: npt.NDArray[np.floating] | None = None,
) -> float:
    """Median of ‖x − x'‖²/2 over up to MEDIAN_ROWS rows of each; 1 where every row is the same.

    weights (N,): how often each row of X counts.
    """
    drawn, drawn_val = (draw_rows(len(rows), MEDIAN_ROWS, generator) for rows in (X, X_val))
    costs = half_squared_distances(_rows(X).pick(drawn), _rows(X_val).pick(drawn_val))
    if weights is None:
        median = float(costs.median())
    else:
        counts = torch.as_tensor(weights[drawn.numpy()]).to(costs).unsqueeze(1).expand_as(costs)
        ordered, index = costs.flatten().sort()
        cumulative = counts.flatten()[index].double().cumsum(0)
        median = float(ordered[torch.searchsorted(cumulative, cumulative[-1] / 2)])
    return median if median > 0 else 1.0


class Transport:
    """The transport problem of one run; holds g between sweeps."""

    def __init__(
        self,
        X: Rows | Tensor,
        X_val: Tensor,
        *,
        epsilon: float,
        scale: float = 1.0,
        penalty: Tensor | None = None,
        own: Tensor | None = None,
    ) -> None:
        """X (N, D), X_val (J, D), penalty (N,) or none; ε in units of the scaled cost.

        own (N,): the validation row that a training row itself is, −1 where none. A row is never
        transported to itself, or held-out rows would be free.
        """
        self.rows = _rows(X)
        self._length = math.sqrt(scale)
        self.X_val = X_val / self._length
        N, J = len(self.rows), len(X_val)
        self.penalty = X_val.new_zeros(N) if penalty is None else penalty.to(X_val)
        self.epsilon = epsilon
        self.own = own
        self.g = X_val.new_zeros(J)
        self._block = max(1, BLOCK_ENTRIES // J)
        self._unit = 1 / (epsilon * math.log(2))  # from costs to powers of two
        self._factors = self._unit * torch.cat([self.X_val.T, X_val.new_ones(1, J)])  # (D + 1, J)
        self._offset = self.X_val.square().sum(1) * (-self._unit / 2)  # (J,)
        fits = N * J <= CACHE_ENTRIES
        self._cached = [self._exponents(rows).exp2_() for rows in self._blocks(0, N)] if fits else None

    @property
    def is_cached(self) -> bool:
        """True if all costs are in memory, so that a sweep is cheap."""
        return self._cached is not None

    def solve(self, masses: Tensor, *, tolerance: float, max_sweeps: int, generator: torch.Generator) -> Potentials:
        """Sweep until the marginal error is at most `tolerance`, or `max_sweeps` times.

        `masses` (N,) sum to 1 and may hold zeros. In a large table the sweeps run on a random part of the
        rows, and only the last ones, two at most, on all.
        """
        if len(self.rows) > SOLVE_ROWS:
            self._solve_part(masses, tolerance, max_sweeps, generator)
            max_sweeps = 2
            tolerance *= 1.0 if self.is_cached else WHOLE_TOLERANCE
        return self._sweeps(masses, tolerance, max_sweeps)

    def refresh(
        self, masses: Tensor, *, tolerance: float, generator: torch.Generator, previous: Potentials | None = None
    ) -> Potentials:
        """Bring the potentials up to date after a small change of the masses.

        Where a sweep over all rows is expensive, most sweeps run on a part of them, as in `solve`. With the solution
        before the change, where no newer f is needed, all of them do: of that solution g and the cost change alone.
        """
        if self.is_cached:
            return self._sweeps(masses, tolerance, REFRESH_SWEEPS)
        if previous is None or len(self.rows) <= SOLVE_ROWS:
            return self.solve(masses, tolerance=tolerance, max_sweeps=REFRESH_SWEEPS, generator=generator)
        part = self._solve_part(masses, tolerance, REFRESH_SWEEPS, generator, own=self.own)
        return previous._replace(g=part.g, cost=part.cost)

    def _solve_part(
        self,
        masses: Tensor,
        tolerance: float,
        max_sweeps: int,
        generator: torch.Generator,
        own: Tensor | None = None,
    ) -> Potentials:
        """Solve for SOLVE_ROWS random rows, starting from the present g. `own` is given, as for all rows, if the cost
        is to be reported."""
        rows = draw_rows(len(self.rows), SOLVE_ROWS, generator).to(self.g.device)
        penalty, mass = self.penalty[rows], masses[rows]
        own = None if own is None else own[rows]
        X = self.rows.pick(rows) / self._length
        part = Transport(X, self.X_val, epsilon=self.epsilon, penalty=penalty, own=own)
        part.g = self.g
        solution = part.solve(mass / mass.sum(), tolerance=tolerance, max_sweeps=max_sweeps, generator=generator)
        self.g = part.g
        return solution

    def _sweeps(self, masses: Tensor, tolerance: float, max_sweeps: int) -> Potentials:
        for _ in range(max_sweeps):
            solution = self.sweep(masses, tolerance=tolerance)
            if solution.converged:
                break
        return solution

    def sweep(self, masses: Tensor, *, tolerance: float) -> Potentials:
        """Compute f for the present g, then update g by one Sinkhorn step. O(N·J·D) time, O(block·J) memory."""
        N = len(self.rows)
        if self.is_cached:
            f, columns = self._sweep_range(masses, 0, N)
        else:
            edges = [i * N // SHARED_RANGES for i in range(SHARED_RANGES + 1)]
            found = share(list(pairwise(edges)), lambda ends: [x.cpu() for x in self._sweep_range(masses, *ends)])
            f = torch.cat([part for part, _ in found]).to(masses.device)
            columns = torch.stack([part for _, part in found]).sum(0).to(masses.device)
        b = 1 / len(self.g)
        error = float((columns - b).abs().sum())
        solution_g = self.g
        f += self.penalty
        cost = float(masses @ f)
        # A validation row that no mass reaches in float32 would need an infinite potential.
        updated = self.g - self.epsilon * (columns.clamp(min=1e-30) / b).log()
        self.g = updated - updated.mean()
        return Potentials(f, solution_g, cost, error, error <= tolerance)

    def _sweep_range(self, masses: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """f without the penalty (n,), and column sums of the plan (J,), of the rows from `start` to `stop`."""
        total = masses.new_empty(stop - start)  # Σ_j 2^exponent; exponents are at most 0
        columns = torch.zeros_like(self.g)
        by_g = self.g * self._unit
        largest = by_g.max()
        by_g = by_g - largest
        factors = by_g.exp2()
        for block, rows in enumerate(self._blocks(start, stop)):
            if self._cached is None:
                kernel = self._exponents(rows, by_g).exp2_()
                sums = kernel.sum(dim=1)
            else:
                kernel = self._cached[block]
                sums = kernel @ factors
            total[rows.start - start : rows.stop - start] = sums
            columns += torch.where(sums < LEAST_TOTAL, 0.0, masses[rows] / sums) @ kernel
        if self._cached is not None:
            columns *= factors
        bits = total.log2()
        lost = (total < LEAST_TOTAL).nonzero().squeeze(1)
        for few in torch.split(lost, self._block) if len(lost) else ():
            exponents = self._exponents(start + few, by_g)
            top = exponents.amax(dim=1, keepdim=True)
            kernel = exponents.sub_(top).exp2_()
            sums = kernel.sum(dim=1)
            bits[few] = sums.log2() + top.squeeze(1)
            columns += (masses[start + few] / sums) @ kernel
        # log b_j is the constant −log J, which f gets back.
        return self.epsilon * math.log(len(self.g)) - (bits + largest) / self._unit, columns

    def _blocks(self, start: int, stop: int) -> list[slice]:
        return [slice(first, min(first + self._block, stop)) for first in range(start, stop, self._block)]

    def _exponents(self, rows: slice | Tensor, by_g: float | Tensor = 0.0) -> Tensor:
        """by_g_j − ‖x_n − x'_j‖²/2 in powers of two, without the penalty (n, J): one matrix product."""
        X = (self.rows[rows] if isinstance(rows, slice) else self.rows.pick(rows)) / self._length
        with_squares = torch.cat([X, X.square().sum(1, keepdim=True) / -2], dim=1)
        exponents = torch.addmm(self._offset + by_g, with_squares, self._factors)
        if self.own is not None:
            own = self.own[rows]
            in_val = (own >= 0).nonzero().squeeze(1)
            exponents[in_val, own[in_val]] = -torch.inf
        return exponents


def _rows(X: Rows | Tensor) -> Rows:
    return X if isinstance(X, Rows) else Rows(X, X.device)
