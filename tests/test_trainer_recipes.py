"""The recipes for Lightning and the Hugging Face Trainer in docs/pytorch.md do what they say, where installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lossval_cli.torch import LossVal

PAGE = Path(__file__).parents[1] / "docs" / "pytorch.md"

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # their warnings are theirs


def recipe(heading: str) -> dict[str, Any]:
    """What the code below a heading defines."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found.group(1), names)
    return names


def share_found(scores: Any, wrong: np.ndarray) -> float:
    """Of the planted wrong labels, the share among as many lowest rows."""
    lowest = scores.sort_values("importance").index[: wrong.sum()]
    return float(wrong[lowest].mean())


def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")
    generator = torch.Generator().manual_seed(0)
    X, X_val = torch.randn(400, 4, generator=generator), torch.randn(80, 4, generator=generator)
    y = (X[:, 0] + X[:, 1] > 0).long()
    wrong = np.zeros(400, bool)
    wrong[:40] = True
    y[:40] = 1 - y[:40]
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
    model = recipe("Lightning")["Model"](network, len(X), X_val)
    rows = torch.utils.data.TensorDataset(torch.arange(400), X, y)
    trainer = lightning.Trainer(
        max_epochs=15,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, torch.utils.data.DataLoader(rows, batch_size=16, shuffle=True))
    assert share_found(model.objective.scores(), wrong) > 0.7
    path = next(tmp_path.rglob("*.ckpt"))
    again = LossVal(len(X), X_val)
    saved = torch.load(path, weights_only=True)["state_dict"]
    again.load_state_dict({name[10:]: value for name, value in saved.items() if name.startswith("objective.")})
    assert again.scores().equals(model.objective.scores())


@pytest.mark.parametrize(("variant", "epochs"), [("default", 20), ("paper", 2)])
def test_hugging_face_trainer(variant: Any, epochs: int, tmp_path: Path) -> None:
    """A tiny BERT from its configuration; a label follows from one word of a sentence."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    rng = np.random.default_rng(0)
    words = rng.integers(10, 60, (320, 8))
    truth = rng.integers(0, 2, 320)
    words[np.arange(320), rng.integers(1, 8, 320)] = np.where(truth, 5, 6)
    words[:, 0] = 2
    wrong = np.zeros(320, bool)
    wrong[rng.choice(256, 26, replace=False)] = True
    labels = np.where(wrong, 1 - truth, truth)
    transformers.set_seed(0)
    config = transformers.BertConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
    )
    model = transformers.BertForSequenceClassification(config)
    with torch.no_grad():
        embedded = model(input_ids=torch.tensor(words[256:]), output_hidden_states=True).hidden_states[-1][:, 0]
    objective = LossVal(256, embedded, variant=variant)
    rows = [{"index": i, "input_ids": torch.tensor(words[i]), "labels": int(labels[i])} for i in range(256)]
    options = transformers.TrainingArguments(
        str(tmp_path),
        num_train_epochs=epochs,
        per_device_train_batch_size=32,
        learning_rate=2e-3,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
        logging_strategy="no",
    )
    trainer = recipe("Hugging Face Trainer")["LossValTrainer"](
        model=model, args=options, train_dataset=rows, objective=objective
    )
    trainer.train()
    if variant == "paper":
        assert objective.adam_step == 16 and objective.scores()["importance"].std() > 0
    else:
        assert share_found(objective.scores(), wrong[:256]) > 0.5
