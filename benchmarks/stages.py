"""CPU seconds of every stage of a run, in each of its processes.

    python -m benchmarks.stages FOLDER score TRAIN ...          (or under torchrun)

runs `lossval score TRAIN ...` and writes `FOLDER/<rank>.json`: stage -> CPU seconds, in the order of the run. Time in
which a process waits for another one is none. `start` is what Python and imports take.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STAGES = {
    "reading and encoding": "lossval_cli.pipeline._load",
    "outliers": "lossval_cli.pipeline.estimate_outliers",
    "training": "lossval_cli.pipeline.fit_model",
    "out-of-fold predictions": "lossval_cli.noise.class_predictions.predict_classes",
    "models of trusted labels": "lossval_cli.noise.class_errors.learn_true_labels",
    "rest of the noise estimate": "lossval_cli.pipeline.estimate_noise",
    "removal study": "lossval_cli.pipeline.study_removal",
    "ranking": "lossval_cli.pipeline.rank_rows",
    "reasons": "lossval_cli.report.build.explain_suspects",
    "rest of the report": "lossval_cli.pipeline.build_report",
    "keys": "lossval_cli.pipeline.add_keys",
}
"""Stage -> the function that does it; what a stage within another takes is counted once."""


class Stages:
    """The CPU seconds so far."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]
        """Seconds of the stages within each open one."""

    def measured(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, measured."""

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            self._inner.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                took = time.process_time() - started
                self.seconds[stage] = self.seconds.get(stage, 0.0) + took - self._inner.pop()
                self._inner[-1] += took

        return run


def main() -> None:
    """Import, wrap, run and write."""
    folder = Path(sys.argv[1])
    stages = Stages()
    for stage, name in STAGES.items():
        module, function = name.rsplit(".", 1)
        owner = importlib.import_module(module)
        setattr(owner, function, stages.measured(stage, getattr(owner, function)))
    from lossval_cli.cli import main as command

    started = time.process_time()
    code = command(sys.argv[2:])
    ended = time.process_time()
    found = {"start": started, **{stage: stages.seconds.get(stage, 0.0) for stage in STAGES}}
    found["writing and the rest"] = ended - sum(found.values())
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    content = {"seconds": found, "peak_bytes": int(peak.split()[1]) * 1024}
    (folder / f"{os.environ.get('RANK', '0')}.json").write_text(json.dumps(content))
    sys.exit(code)


if __name__ == "__main__":
    main()
