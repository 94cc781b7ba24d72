"""`lossval_cli.torch.LossVal`: the published values, the package's own weight step, any loop, two processes."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PYTHON
from scipy import sparse
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import cross_entropy as torch_cross_entropy

from lossval_cli.errors import Diverged, LossvalError, SettingsError, UsageError
from lossval_cli.losses import find_loss
from lossval_cli.lossval.paper import PaperSettings, fit_paper
from lossval_cli.lossval.setup import TrainingData
from lossval_cli.lossval.training import train_lossval
from lossval_cli.runtime.context import Runtime
from lossval_cli.settings import Settings
from lossval_cli.torch import LossVal

GOLDEN = json.loads((Path(__file__).parent / "golden" / "reference_losses.json").read_text(encoding="utf-8"))


def problem(rows: int = 200, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, np.ndarray]:
    """X (N, 5), y (N,), X_val (60, 5) and which labels are flipped."""
    rng = np.random.default_rng(seed)
    X, X_val = rng.normal(size=(rows, 5)).astype(np.float32), rng.normal(size=(60, 5)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
    flipped = rng.random(rows) < 0.1
    y[flipped] = 1 - y[flipped]
    return torch.tensor(X), torch.tensor(y), torch.tensor(X_val), flipped


def train(objective: LossVal, model: nn.Module, X: Tensor, y: Tensor, epochs: int, seed: int = 0) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for index in torch.randperm(len(X), generator=generator).split(32):
            loss = objective(model(X[index]), y[index], X[index], index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            objective.step()
        objective.end_epoch()


def network(outputs: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 20), nn.ReLU(), nn.Linear(20, outputs))


# --- the published algorithm ------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "power", "absolute"), [("lossval_squared", 2, False), ("lossval_abs", 1, True)])
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_the_paper_variant_has_the_published_values_and_gradients(
    case: dict[str, Any], key: str, power: int, absolute: bool
) -> None:
    X, X_val, weights = (
        torch.tensor(case[name], dtype=torch.float64) for name in ("train_features", "val_features", "weights")
    )
    outputs = torch.tensor(case["predictions"], dtype=torch.float64)
    is_classes = case["task"] == "classification"
    targets = torch.tensor(case["targets"], dtype=torch.int64 if is_classes else torch.float64)
    if is_classes:
        outputs = outputs.log()  # the golden predictions are probabilities; log-probabilities are logits of them
    outputs.requires_grad_()
    loss = "cross_entropy" if is_classes else "squared_error"
    objective = LossVal(len(X), X_val, loss=loss, variant="paper", ot_power=power, absolute=absolute)
    with torch.no_grad():
        objective.weights.copy_(weights)
    value = objective(outputs, targets, X, torch.arange(len(X)))
    value.backward()
    torch.testing.assert_close(value.detach(), torch.tensor(case[key], dtype=torch.float64), rtol=1e-6, atol=0)
    expected = torch.tensor(case[f"{key}_grad_weights"], dtype=torch.float64)
    torch.testing.assert_close(objective.weights.grad, expected, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_a_loop_with_the_paper_variant_is_the_preset_paper() -> None:
    X, y, X_val, _ = problem(96)
    X, X_val = X.double(), X_val.double()
    generator = torch.Generator().manual_seed(3)
    found = fit_paper(X, y, X_val, PaperSettings(epochs=2, layers=1), classes=2, generator=generator)

    generator = torch.Generator().manual_seed(3)
    model = nn.Linear(5, 2, dtype=torch.float64)
    for parameter in (model.weight, model.bias):
        nn.init.uniform_(parameter, -1 / math.sqrt(5), 1 / math.sqrt(5), generator=generator)
    objective = LossVal(len(X), X_val, variant="paper")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):
        for index in torch.randperm(len(X), generator=generator).split(32):
            optimizer.zero_grad()
            objective(model(X[index]), y[index], X[index], index).backward()
            optimizer.step()
            objective.step()
        objective.end_epoch()
    np.testing.assert_allclose(objective.scores()["importance"], found.weights, rtol=1e-6)


# --- the default variant ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_features_count_as_in_the_training_loop_of_the_package() -> None:
    """Without labels in the objective nothing depends on the networks: both must agree to rounding."""
    X, y, X_val, _ = problem()
    settings = Settings.resolve(overrides={"objective": "transport", "epochs": 4, "members": 2})
    data = TrainingData(X.numpy(), y.numpy(), X_val.numpy(), 5, 2, np.zeros(len(X)))
    fit = train_lossval(data, find_loss("cross_entropy", "classification"), settings, Runtime())
    objective = LossVal(len(X), X_val, objective="transport")
    train(objective, network(), X, y, epochs=4)
    scores = objective.scores()
    np.testing.assert_allclose(scores["feature_evidence"], fit.feature_evidence, atol=1e-6)
    np.testing.assert_allclose(scores["label_evidence"], 0, atol=1e-7)


def test_label_evidence_is_the_sum_of_relative_losses() -> None:
    losses = torch.tensor([1.0, 2.0, 3.0, 10.0])
    objective = LossVal(
        4, torch.zeros(3, 1), loss=lambda outputs, targets: outputs, objective="loss", learning_rate=0.1
    )
    index = torch.arange(4)
    objective(losses.requires_grad_(), index, None, index)
    objective.end_epoch()
    expected = -0.1 * losses.detach().numpy() / 4
    evidence = objective.scores()["label_evidence"].to_numpy()
    np.testing.assert_allclose(evidence - evidence.mean(), expected - expected.mean(), rtol=1e-5)


def test_importances_have_mean_one_and_find_flipped_labels() -> None:
    X, y, X_val, flipped = problem(400)
    objective = LossVal(len(X), X_val)
    train(objective, network(), X, y, epochs=10)
    scores = objective.scores()
    assert list(scores) == ["importance", "label_evidence", "feature_evidence"]
    np.testing.assert_allclose(scores["importance"].mean(), 1, rtol=1e-6)
    np.testing.assert_allclose(scores["importance"], np.exp(scores["label_evidence"] + scores["feature_evidence"]))
    assert roc_auc_score(flipped, -scores["label_evidence"]) > 0.9


def test_the_scalar_is_the_weighted_mean_loss() -> None:
    X, y, X_val, _ = problem(8)
    objective = LossVal(8, X_val)
    objective.w.copy_(torch.arange(1.0, 9.0))
    outputs, index = torch.randn(3, 2, requires_grad=True), torch.tensor([1, 4, 6])
    value = objective(outputs, y[index], X[index], index)
    w = torch.tensor([2.0, 5.0, 7.0])
    expected = (w * torch_cross_entropy(outputs, y[index], reduction="none")).sum() / 14
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("variant", ["default", "paper"])
def test_a_saved_state_goes_on_to_the_same_scores(variant: Any) -> None:
    X, y, X_val, _ = problem(64)

    def make() -> tuple[LossVal, nn.Module]:
        return LossVal(64, X_val, variant=variant), nn.Linear(5, 2)

    torch.manual_seed(0)
    objective, model = make()
    train(objective, model, X, y, epochs=2)
    resumed, resumed_model = make()
    resumed.load_state_dict(objective.state_dict())
    resumed_model.load_state_dict(model.state_dict())
    for pair in ((objective, model), (resumed, resumed_model)):
        train(*pair, X, y, epochs=2, seed=1)
    np.testing.assert_allclose(resumed.scores(), objective.scores(), rtol=1e-5)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda X_val: LossVal(63, X_val), "the saved state is of 64 rows, and this objective of 63"),
        (lambda X_val: LossVal(64, X_val[1:]), r"X_val of the saved state is of shape \(60, 5\), .* of \(59, 5\)"),
        (lambda X_val: LossVal(64, X_val, variant="paper"), "saved state is of variant default, .* of paper"),
    ],
)
def test_a_state_of_other_rows_is_refused_in_one_line(other: Any, message: str) -> None:
    """Also where the objective is a part of a model, as in Lightning."""
    X_val = problem(64)[2]
    state = LossVal(64, X_val).state_dict()
    with pytest.raises(UsageError, match=message):
        other(X_val).load_state_dict(state)
    with pytest.raises(UsageError, match=message):
        nn.ModuleDict({"part": other(X_val)}).load_state_dict({f"part.{name}": value for name, value in state.items()})


def test_losses_of_several_values_per_row_count_by_their_mean() -> None:
    """Multi-label: binary cross-entropy of K tags, (B, K)."""
    X, _, X_val, _ = problem(64)
    tags = (X[:, :3] > 0).float()
    per_tag = nn.BCEWithLogitsLoss(reduction="none")
    several, one = (
        LossVal(64, X_val, loss=loss) for loss in (per_tag, lambda outputs, targets: per_tag(outputs, targets).mean(1))
    )
    for objective in (several, one):
        train(objective, network(3), X, tags, epochs=2)
    np.testing.assert_allclose(several.scores(), one.scores(), rtol=1e-6)


def test_rows_that_no_batch_held_are_taken_for_average_ones() -> None:
    X, y, X_val, _ = problem(40)
    objective, index = LossVal(40, X_val), torch.arange(30)
    objective(network()(X[index]), y[index], X[index], index)
    objective.end_epoch()
    scores = objective.scores()
    assert np.isfinite(scores).all().all()
    assert scores["label_evidence"][30:].nunique() == 1


def test_an_embedding_that_moves_is_compared_where_it_is_now() -> None:
    X, y, X_val, _ = problem(40)
    objective, index = LossVal(40, X_val), torch.arange(40)
    for shift in (0.0, 5.0):
        objective(network()(X), y, X + shift, index)
        objective.end_epoch(X_val + shift)
    moved = objective.scores()["feature_evidence"]
    fixed = LossVal(40, X_val)
    for _ in range(2):
        fixed(network()(X), y, X, index)
        fixed.end_epoch()
    np.testing.assert_allclose(moved, fixed.scores()["feature_evidence"], atol=1e-4)


def test_evaluation_records_nothing() -> None:
    X, y, X_val, _ = problem(40)
    objective = LossVal(40, X_val).eval()
    objective(network()(X), y, X, torch.arange(40))
    with pytest.raises(UsageError, match="no row"):
        objective.end_epoch()


# --- bad input --------------------------------------------------------------------------------------------

X, Y, X_VAL, _ = problem(6)
ROWS = torch.arange(6)


def call(
    loss: Any = "cross_entropy",
    outputs: Any = None,
    targets: Any = Y,
    features: Any = X,
    index: Any = ROWS,
    **choices: Any,
) -> None:
    outputs = torch.zeros(6, 2, requires_grad=True) if outputs is None else outputs
    LossVal(6, X_VAL, loss=loss, **choices)(outputs, targets, features, index)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"loss": nn.CrossEntropyLoss()}, r"returned one number for outputs \(6, 2\).*reduction='none'"),
        ({"loss": lambda outputs, targets: outputs[:2, 0]}, r"returned shape \(2,\).*not one value per row"),
        ({"loss": lambda outputs, targets: outputs.detach()[:, 0]}, "no gradient"),
        ({"loss": lambda outputs, targets: torch.ones(6, requires_grad=True)}, "no gradient"),
        ({"loss": lambda outputs, targets: 3.0}, "returned float"),
        ({"loss": lambda o, t: o[:, :1] - t, "outputs": torch.ones(6, 1)}, r"\(6, 6\).*squeeze"),
        (
            {"loss": lambda o, t: o.nope},
            r"outputs \(6, 2\) float32 and.*nope' \(test_torch_module.py, line",
        ),
        ({"loss": 3}, "a name or a function"),
        ({"loss": "cross_entropi"}, "did you mean 'cross_entropy'"),
        ({"features": X[:, :3]}, r"features of shape \(6, 3\) do not fit 6 rows"),
        ({"features": None, "variant": "paper"}, "needs the features of every batch"),
        ({"index": ROWS + 1}, "index holds 1 to 6"),
        ({"index": ROWS[:4]}, "one for each of 6 outputs"),
        ({"index": ROWS.float()}, "torch.float32"),
        ({"index": ROWS >= 0}, "torch.bool"),
        ({"index": "rows"}, "index must be a tensor or an array of numbers, not str"),
        ({"features": "X"}, "features must be a tensor or an array of numbers, not str"),
        ({"outputs": torch.zeros(6, 2)}, "the outputs have no gradient"),
        ({"outputs": np.zeros((6, 2))}, "outputs must be a tensor of one line per row, not ndarray"),
        (
            {"outputs": torch.zeros(6, 2, device="meta")},
            "outputs are on meta, and the objective is on cpu: move it with",
        ),
        ({"features": X * 1j}, "features must be real numbers, not complex ones"),
        ({"targets": [None] * 6}, "targets must be a tensor or an array of numbers, not list"),
        ({"targets": [0, 1]}, "2 targets for 6 rows"),
        ({"targets": Y[:4]}, "4 targets for 6 rows"),
        (
            {"targets": Y.float()},
            r"cross_entropy failed for.*targets \(6,\) float32.*whole numbers from 0 to K - 1",
        ),
        ({"targets": Y + 5}, "loss cross_entropy failed"),
        ({"loss": "squared_error"}, r"loss squared_error failed.*it takes numbers \(B,\) and targets \(B,\)"),
        ({"variant": "papr"}, "default or paper"),
        ({"ot_power": 3}, "setting ot_power must be from 0 to 2"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(choices: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, SettingsError), match=message) as raised:
        call(**choices)
    assert "\n" not in str(raised.value)


def test_the_number_of_rows_and_the_trusted_rows_are_checked() -> None:
    for rows in (0, 6.0, True, "6"):
        with pytest.raises(UsageError, match="number of training rows"):
            LossVal(rows, X_VAL)  # type: ignore[arg-type]
    for given, message in ((torch.full((2, 2), torch.nan), "not finite"), ("X", "not str"), (None, "not NoneType")):
        with pytest.raises(UsageError, match=f"X_val.*{message}"):
            LossVal(3, given)  # type: ignore[arg-type]
    objective = LossVal(6, X_VAL)
    objective(torch.zeros(6, 2, requires_grad=True), Y, X, ROWS)
    with pytest.raises(UsageError, match=r"X_val was of shape \(60, 5\) and is now of \(60, 4\)"):
        objective.end_epoch(X_VAL[:, :4])
    with pytest.raises(UsageError, match="X_val holds a value that is not finite"):
        objective.end_epoch(X_VAL * torch.nan)


def test_arrays_and_tables_serve_as_features_and_whole_numbers_of_numpy_as_rows() -> None:
    of_tensors = LossVal(6, X_VAL)
    of_arrays = LossVal(np.int64(6), pd.DataFrame(X_VAL.numpy()))
    of_sparse, of_coordinates = LossVal(6, sparse.csr_array(X_VAL.numpy())), LossVal(6, X_VAL.to_sparse())
    for objective, features, targets in (
        (of_tensors, X, Y),
        (of_arrays, X.numpy(), Y.tolist()),
        (of_sparse, sparse.csr_matrix(X.numpy()), Y.numpy()),
        (of_coordinates, X.to_sparse(), Y),
    ):
        objective(torch.zeros(6, 2, requires_grad=True), targets, features, np.arange(6))
        objective.end_epoch()
        pd.testing.assert_frame_equal(objective.scores(), of_tensors.scores())


def test_losses_alone_are_recorded_without_gradients() -> None:
    objective = LossVal(6, X_VAL)
    with torch.no_grad():
        objective(torch.zeros(6, 2), Y, X, ROWS)
    objective.end_epoch()
    assert objective.scores()["importance"].notna().all()


def test_a_loss_that_is_not_finite_names_the_row() -> None:
    objective = LossVal(6, X_VAL)
    outputs = torch.zeros(6, 2)
    outputs[4] = torch.nan
    objective(outputs.requires_grad_(), Y, X, ROWS)
    with pytest.raises(Diverged, match="loss of row 4"):
        objective.end_epoch()
    assert issubclass(Diverged, LossvalError)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("variant", ["default", "paper"])
def test_a_gpu_finds_what_the_processor_finds(variant: Any) -> None:
    X, y, X_val, _ = problem()
    found = []
    for device in ("cpu", "cuda"):
        objective = LossVal(len(X), X_val, variant=variant).to(device)
        train(objective, network().to(device), X.to(device), y.to(device), epochs=3)
        found.append(objective.scores())
        again = LossVal(len(X), X_val, variant=variant)
        again.load_state_dict(objective.state_dict())
        pd.testing.assert_frame_equal(again.scores(), found[-1])
        pd.testing.assert_frame_equal(objective.cpu().scores(), found[-1])
    np.testing.assert_allclose(found[0], found[1], atol=1e-2)


def test_an_objective_that_is_moved_goes_on() -> None:
    X, y, X_val, _ = problem(40)
    objectives = [LossVal(40, X_val), LossVal(40, X_val)]
    for epoch in range(2):
        for objective in objectives:
            objective(network()(X), y, X, torch.arange(40))
            objective.end_epoch()
        if epoch == 0:
            objectives[0].to(torch.float32)
    np.testing.assert_allclose(objectives[0].scores(), objectives[1].scores(), atol=1e-4)


# --- several processes ------------------------------------------------------------------------------------


def _worker(rank: int, out: str) -> None:
    torch.distributed.init_process_group("gloo", f"file://{out}/meeting", rank=rank, world_size=2)
    X, y, X_val, _ = problem(64)
    variants: tuple[Any, ...] = ("default", "paper")
    for variant in variants:
        torch.manual_seed(0)
        model = nn.parallel.DistributedDataParallel(nn.Linear(5, 2))
        objective = LossVal(64, X_val, variant=variant)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for epoch in range(3):
            order = torch.randperm(64, generator=torch.Generator().manual_seed(epoch))
            for batch in order.split(16):
                index = batch[rank::2]
                loss = objective(model(X[index]), y[index], X[index], index)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                objective.step()
            objective.end_epoch()
        np.save(f"{out}/{variant}{rank}.npy", objective.scores().to_numpy())
    torch.distributed.barrier()
    # PyTorch's threads now and then abort a process that ends the usual way ("terminate called without an active
    # exception"). What is tested is on disk.
    os._exit(0)


@pytest.mark.usefixtures("fork_server")
def test_two_processes_end_with_the_same_weights(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); from test_torch_module import _worker; "
    # The second process is forked from the first once the compiler, which DistributedDataParallel imports, is there.
    fork = f"import os, torch._dynamo; _worker(int(os.fork() == 0), {str(tmp_path)!r})"
    assert subprocess.run([*PYTHON, "-c", code + fork]).returncode == 0
    for variant in ("paper", "default"):
        first, second = (np.load(tmp_path / f"{variant}{rank}.npy") for rank in (0, 1))
        np.testing.assert_array_equal(first, second)
        assert len(np.unique(first[:, 0])) > 60  # each row has its own
    X, y, X_val, _ = problem(64)
    torch.manual_seed(0)
    model, alone = nn.Linear(5, 2), LossVal(64, X_val)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(3):
        order = torch.randperm(64, generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(16):
            # DistributedDataParallel averages the gradients of the two halves.
            optimizer.zero_grad()
            for rank in (0, 1):
                index = batch[rank::2]
                (alone(model(X[index]), y[index], X[index], index) / 2).backward()
            optimizer.step()
        alone.end_epoch()
    np.testing.assert_allclose(first, alone.scores().to_numpy(), rtol=1e-4, atol=1e-5)
