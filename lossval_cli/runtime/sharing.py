"""Tasks that the processes of a run share: each does a part of them, and every process gets all results.

All processes run the same code on the same data. Whoever has many independent things to do (models to fit, blocks of
rows to predict) hands them to `share`, whatever processes there are; `sharing` says which. What is computed does not
depend on their number: a task is the same wherever it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from lossval_cli.errors import UsageError
from lossval_cli.runtime.distributed import SINGLE_PROCESS, ProcessGroup

Task = TypeVar("Task")
Found = TypeVar("Found")

BLOCK_ROWS = 1 << 13
"""Rows of a task: enough blocks for many processes, and large enough for the calls to cost nothing."""

_PROCESSES: ContextVar[ProcessGroup] = ContextVar("processes", default=SINGLE_PROCESS)


@contextmanager
def sharing(processes: ProcessGroup) -> Iterator[None]:
    """While the `with` lasts, these processes share what is handed to `share`; all of them have to enter it."""
    before = _PROCESSES.set(processes)
    try:
        yield
    finally:
        _PROCESSES.reset(before)


def share(tasks: Sequence[Task], run: Callable[[Task], Found], *, in_threads: bool = False) -> list[Found]:
    """`[run(task) for task in tasks]`, of which each process does a range and gets the rest from the others.

    All processes have to call it with the same tasks, in the same order; results have to be picklable. What one raises
    all raise: none is left waiting. in_threads: a process runs as many of its tasks at a time as it has threads.
    Raises UsageError where they have different tasks.
    """
    processes = _PROCESSES.get()
    run_all = run_in_threads if in_threads else _run
    if processes.world_size == 1:
        return run_all(tasks, run)
    found: list[Found] = []
    failed: Exception | None = None
    try:
        edges = [-(-rank * len(tasks) // processes.world_size) for rank in (processes.rank, processes.rank + 1)]
        found = run_all(tasks[slice(*edges)], run)
    except Exception as error:  # noqa: BLE001, whatever it is, the others wait for an answer
        failed = error
    everywhere = processes.all_gather_object((len(tasks), found, failed))
    for _, _, raised in everywhere:
        if raised is not None:
            raise raised
    if any(many != len(tasks) for many, _, _ in everywhere):
        raise UsageError(
            "the processes of this run have different work to do: start all of them with the same command, tables and "
            "version"
        )
    return [result for _, part, _ in everywhere for result in part]


def _run(tasks: Iterable[Task], run: Callable[[Task], Found]) -> list[Found]:
    return [run(task) for task in tasks]


def run_in_threads(tasks: Iterable[Task], run: Callable[[Task], Found]) -> list[Found]:
    """Run several tasks at a time, each with one thread of OpenMP.

    The threads of OpenMP wait for one another after every split of a tree: two of them grow a tree of 40,000 rows
    hardly faster than one, and much slower where other programs run.
    """
    import torch
    from sklearn.utils.parallel import Parallel, delayed

    libraries = _libraries()

    def run_with_one(task: Task) -> Found:
        with libraries.limit(limits=1, user_api="openmp"):  # of this thread alone
            return run(task)

    with libraries.limit(limits=1, user_api="blas"):
        found: list[Found] = Parallel(torch.get_num_threads(), backend="threading")(
            delayed(run_with_one)(task) for task in tasks
        )
    return found


@cache
def _libraries() -> ThreadpoolController:
    """Libraries that start threads, looked up once."""
    return ThreadpoolController()


def by_one(run: Callable[[], Found]) -> Found:
    """Return what the first process finds, on all of them: for what would differ, such as the time that is left."""
    return share([None], lambda _: run())[0]


def row_blocks(rows: int) -> list[slice]:
    """0..rows in blocks of BLOCK_ROWS, which do not depend on the number of processes."""
    return [slice(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS)]
