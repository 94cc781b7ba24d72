"""Members that are trained in threads of their own learn what they learn together."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest
import torch

from lossval_cli.losses import find_loss
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.parts import Part, run_parts, split_members
from lossval_cli.lossval.setup import TrainingData
from lossval_cli.lossval.training import Fit, train_lossval
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.distributed import ProcessGroup
from lossval_cli.settings import Settings

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def fit(threads: int) -> Fit:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((260, 5)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
    data = TrainingData(X[:200], y[:200], X[200:], 5, 2, np.zeros(200))
    torch.set_num_threads(threads)
    settings = Settings.resolve(overrides={"epochs": 4, "batch_size": 32})
    return train_lossval(data, find_loss("cross_entropy", "classification"), settings, Runtime())


def test_members_in_three_threads_give_the_scores_of_one_thread() -> None:
    one, three = fit(1), fit(3)
    np.testing.assert_allclose(three.importance, one.importance, rtol=1e-4)
    np.testing.assert_allclose(three.predictions, one.predictions, atol=1e-4)


def test_the_whole_has_the_numbers_and_the_steps_of_its_parts() -> None:
    """What is saved to a checkpoint is that of the whole."""
    torch.set_num_threads(2)
    network = Ensemble(4, 3, 2, Settings(), generator=torch.Generator().manual_seed(0), device=CPU)
    before = [values.detach().clone() for values in network.parameters()]
    optimizer = AdamW(network.parameters(), weight_decay=0.0)
    parts = split_members(network, optimizer, 4, in_threads=True)
    assert [part.members for part in parts] == [slice(0, 2), slice(2, 4)]
    for part in parts:
        torch.autograd.backward(part.network(torch.ones(5, 3), training=True).square().sum())
        part.optimizer.step(0.01)
    for old, new in zip(before, network.parameters(), strict=True):
        assert ((old - new).abs().amax(dim=(1, 2)) > 0).all()
    assert [float(step) for step in optimizer.steps] == [1.0] * len(optimizer.steps)
    assert all((mean != 0).any() for mean in optimizer.means)


@pytest.mark.parametrize(("processes", "threads"), [(1, 1), (2, 1), (2, 2), (3, 1), (4, 4), (9, 1), (20, 2)])
def test_each_member_is_trained_by_one_process(processes: int, threads: int) -> None:
    """The first one trains some, since it saves what they all count: their steps."""
    torch.set_num_threads(threads)
    network = Ensemble(9, 3, 2, Settings(), generator=torch.Generator().manual_seed(0), device=CPU)
    optimizer = AdamW(network.parameters(), weight_decay=0.0)
    everyone = [
        [part.members for part in split_members(network, optimizer, 9, ProcessGroup(rank, processes), in_threads=True)]
        for rank in range(processes)
    ]
    members = [range(9)[part] for parts in everyone for part in parts]
    assert [member for part in members for member in part] == list(range(9))
    assert everyone[0] and max(map(len, everyone)) <= threads
    counts = [sum(len(range(9)[part]) for part in parts) for parts in everyone]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("changed", [{"dropout": 0.2}, {}])
def test_networks_that_draw_random_numbers_or_are_not_our_own_stay_in_one_thread(changed: dict[str, float]) -> None:
    torch.set_num_threads(4)
    settings = Settings.resolve(overrides=changed)
    network = Ensemble(8, 3, 2, settings, generator=torch.Generator().manual_seed(0), device=CPU)
    optimizer = AdamW(network.parameters(), weight_decay=0.0)
    assert len(split_members(network, optimizer, 8, in_threads=bool(changed))) == 1


def test_where_one_part_fails_the_others_stop_and_threads_are_as_before() -> None:
    torch.set_num_threads(2)
    network = Ensemble(4, 3, 2, Settings(), generator=torch.Generator().manual_seed(0), device=CPU)
    parts = split_members(network, AdamW(network.parameters(), weight_decay=0.0), 4, in_threads=True)
    ended = []

    def run(part: Part, stopped: Event) -> None:
        if part.members.start == 0:
            raise ValueError("the first one")
        ended.append(stopped.wait(20))

    with pytest.raises(ValueError, match="the first one"):
        run_parts(parts, run)
    assert ended == [True]
    assert torch.get_num_threads() == 2
