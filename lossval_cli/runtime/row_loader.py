"""Training rows on the device, in memory or in a file, and the order in which an epoch visits them.

The order of an epoch follows from the generator and the shape of the table alone, not from where rows are or how much
memory there is: pages of neighbouring rows are dealt into chunks, and each chunk is shuffled. A chunk is read page by
page, never row by row; a table of one chunk is a plain shuffle of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lossval_cli.runtime.row_source import CHUNK_ROWS, PAGES
from lossval_cli.runtime.row_source import RowSource as RowSource

FEW_ROWS = 1 << 22
"""Rows up to which all row numbers are shuffled to draw some."""


class Chunk(NamedTuple):
    """Rows that are visited next, cut into batches."""

    rows: Tensor  # (n,) row numbers, shuffled
    X: Tensor  # (n, D)
    bounds: list[int]  # batch b is rows bounds[b] to bounds[b + 1]


class Rows:
    """The training rows, as tensors on the device."""

    def __init__(
        self,
        X: RowSource | Tensor,
        device: torch.device,
        chunk_rows: int = CHUNK_ROWS,
        *,
        hold: bool = True,
    ) -> None:
        """X (N, D): an array goes to the device at once where it fits and `hold` says so; it stays where it is
        otherwise, as any other source does."""
        self.chunk_rows = chunk_rows
        self.width = int(X.shape[1])
        self.device = device
        self._source = X
        hold = hold and isinstance(X, np.ndarray | Tensor) and _fits(len(self) * self.width * 4, device)
        self._held = torch.as_tensor(X[:]).to(device) if hold else None

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, part: slice) -> Tensor:
        """Rows (m, D) in order."""
        return self._held[part] if self._held is not None else self._loaded(part)

    def pick(self, rows: Tensor) -> Tensor:
        """Rows (m, D) with numbers `rows` (m,)."""
        return self._held[rows.to(self.device)] if self._held is not None else self._loaded(rows.cpu().numpy())

    def chunks(self, batches: int, generator: torch.Generator) -> Iterator[Chunk]:
        """Yield the chunks of one epoch: every row once, in `batches` batches over all chunks.

        Where rows are read, the next chunk is read while this one is worked on.
        """
        count = chunk_count(len(self), self.chunk_rows)
        page = max(1, self.chunk_rows // PAGES)
        orders = enumerate(visiting_order(len(self), count, page, generator))
        wanted = ((order, _share(batches, count, i + 1) - _share(batches, count, i)) for i, order in orders)
        if self._held is not None:
            for order, cuts in wanted:
                yield self._chunk(order, cuts)
            return
        with ThreadPoolExecutor(1) as reader:
            ahead: Future[Chunk] | None = None
            for order, cuts in wanted:
                here, ahead = ahead, reader.submit(self._chunk, order, cuts)
                if here is not None:
                    yield here.result()
                    del here  # before another chunk is waited for
            if ahead is not None:
                yield ahead.result()

    def _chunk(self, order: Tensor, batches: int) -> Chunk:
        bounds = [i * len(order) // batches for i in range(batches + 1)]
        return Chunk(order.to(self.device), self.pick(order), bounds)

    def _loaded(self, rows: Any) -> Tensor:
        loaded = torch.as_tensor(self._source[rows])
        if self.device.type == "cuda":
            # Page-locked memory is copied while the device computes.
            return loaded.pin_memory().to(self.device, non_blocking=True)
        return loaded


def chunk_count(rows: int, chunk_rows: int) -> int:
    """Chunks of an epoch."""
    return max(1, -(-rows // chunk_rows))


def visiting_order(rows: int, count: int, page: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield every row once, in `count` chunks of pages of `page` rows: (n,) row numbers each, shuffled."""
    if count == 1:
        yield torch.randperm(rows, generator=generator)
        return
    pages = torch.randperm(-(-rows // page), generator=generator)
    for group in pages.tensor_split(count):
        numbers = (group.sort().values.unsqueeze(1) * page + torch.arange(page)).flatten()
        numbers = numbers[numbers < rows]
        yield numbers[torch.randperm(len(numbers), generator=generator)]


def draw_rows(rows: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw up to `count` different row numbers of `rows`, in random order."""
    if rows <= max(FEW_ROWS, 2 * count):
        return torch.randperm(rows, generator=generator)[:count]
    drawn = torch.unique(torch.randint(rows, (2 * count,), generator=generator))
    chosen: Tensor = drawn[torch.randperm(len(drawn), generator=generator)[:count]]
    return chosen


def _fits(size: int, device: torch.device) -> bool:
    """Return whether `size` bytes leave half of the device to what is computed with them."""
    return device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] // 2


def _share(batches: int, chunks: int, chunk: int) -> int:
    """Batches before `chunk`: at least one a chunk."""
    return chunk * max(batches, chunks) // chunks
