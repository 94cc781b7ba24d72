"""The scoring run of `score` and `check`: the same processes, progress and checkpoint."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from lossval_cli.cli.console import say
from lossval_cli.cli.run_options import RunOptions, RuntimeOptions
from lossval_cli.text.format import format_duration

if TYPE_CHECKING:
    from lossval_cli.cli.progress import Progress
    from lossval_cli.features.dataset import Dataset
    from lossval_cli.noise.thresholds import Thresholds
    from lossval_cli.result import Result
    from lossval_cli.runtime.distributed import ProcessGroup
    from lossval_cli.runtime.resources import Resources
    from lossval_cli.settings import Settings


@contextmanager
def scored(
    train: str,
    options: RunOptions,
    runtime: RuntimeOptions,
    settings: Settings,
    resources: Resources,
    *,
    thresholds: Thresholds | None,
    removal: str,
    check_dataset: Callable[[Dataset], None] | None = None,
) -> Iterator[tuple[Result, Progress, ProcessGroup]]:
    """Score `train`, in all processes of the run; the first one alone shows anything. `check_dataset` may refuse, by
    raising, what was read before it is trained on. The checkpoint of a complete run is deleted when the `with` ends
    without an error."""
    with processes() as group, runtime.shown() as shown:
        from lossval_cli.pipeline import Callbacks, Tables, run

        def start_training(dataset: Dataset) -> None:
            if check_dataset is not None:
                check_dataset(dataset)
            shown.notices(dataset.notices)

        with redirect_stdout(sys.stderr):  # a model of the user may print: LightGBM and CatBoost do
            result = run(
                Tables(train, options.val, options.test),
                settings,
                options=options.tables(),
                thresholds=thresholds,
                decisions=options.decisions,
                removal=removal,
                resources=resources,
                processes=group,
                callbacks=Callbacks(
                    stage=shown.stage,
                    dataset=start_training,
                    estimate=lambda estimate: shown.notices([estimate.text()]),
                    epoch=shown.epoch,
                ),
            )
        if group.is_main:
            shown.notices([*result.fit.notices, *_over_time(result, resources)])
        yield result, shown, group
        if group.is_main and result.is_complete:
            resources.forget_checkpoint()


@contextmanager
def processes() -> Iterator[ProcessGroup]:
    """The processes of this run; without a launcher this one alone.

    A process that the launcher ends because another one has failed says so.
    """
    from lossval_cli.runtime.distributed import joined

    if not os.environ.get("LOSSVAL_DEBUG"):
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # what fails is said in one line
    with joined(say) as found:
        try:
            yield found
        except KeyboardInterrupt as interrupt:
            if found.world_size == 1 or str(interrupt):
                raise
            raise KeyboardInterrupt(
                "interrupted, or ended because another process of this run is gone; nothing was written "
                "(with --checkpoint-every, the same command with --resume continues from the last checkpoint)"
            ) from interrupt


def _over_time(result: Result, resources: Resources) -> list[str]:
    """Return a notice where a run took longer than its time limit, which bounds training alone."""
    took = sum(result.report["timing"].values())
    if took <= resources.time_limit:
        return []
    return [
        "--time-limit bounds training, and no removal study begins after it; reading, outliers, noise and the report "
        f"are not cut short: the run took {format_duration(took)}"
    ]
