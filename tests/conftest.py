"""What tests of the command line share: a directory with small tables, and a way to call `lossval`."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any library starts threads: tests run side by side
# Tests start dozens of processes: the package and the tests are compiled once, not by each of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

import numpy as np
import pandas as pd
import pytest

from lossval_cli.__main__ import COLLECT_AFTER
from lossval_cli.cli import main

gc.set_threshold(*COLLECT_AFTER)  # as in a process of `lossval`: libraries make a million objects that all stay

QUICK = ("--effort", "low", "--set", "epochs=2", "--removal", "off")
"""Training that is over in a moment."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many processes as processors for the suite; none for a few files, which are over before others start."""
    folders = all((Path(config.invocation_params.dir) / name.partition("::")[0]).is_dir() for name in config.args)
    return len(os.sched_getaffinity(0)) if folders else 0


def pytest_collection_finish() -> None:
    """What stands by now stays: collections of garbage need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a finished run, or processes, is slow."""
    for item in items:
        if {"once", "scored", "fork_server", "chromium"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
os.environ["LOSSVAL_FORK_SERVER"] = f"{tempfile.gettempdir()}/lossval-tests-{RUN}.socket"
PYTHON = [sys.executable, "-I", "-S", str(Path(__file__).with_name("fork_client.py"))]
"""`python` as a process that has imported the package already, with the fixture `fork_server`."""

LOSSVAL = [*PYTHON, "-m", "lossval_cli"]
"""`lossval` as a process, with the fixture `fork_server`."""


@pytest.fixture(scope="session")
def fork_server(past_calls: Path) -> Iterator[None]:
    """What `PYTHON` and `LOSSVAL` need: one server, which the processes of pytest-xdist share. It ends with the one
    that started them."""
    root, socket = Path(__file__).parents[1], Path(os.environ["LOSSVAL_FORK_SERVER"])
    is_shared = "PYTEST_XDIST_WORKER" in os.environ
    started = None
    with contextlib.suppress(FileExistsError):  # another process starts it
        (past_calls / "fork_server").mkdir()
        script, lives_with = Path(__file__).with_name("fork_server.py"), os.getppid() if is_shared else os.getpid()
        command = [sys.executable, str(script), str(socket), str(lives_with)]
        started = os.posix_spawn(command[0], command, os.environ | {"PYTHONPATH": str(root)})
    for _ in range(2_000):
        if socket.exists():
            break
        assert started is None or os.waitpid(started, os.WNOHANG) == (0, 0), "the server has ended"
        time.sleep(0.05)
    yield
    if started is not None and not is_shared:
        os.kill(started, signal.SIGKILL)
        os.waitpid(started, 0)
        socket.unlink(missing_ok=True)


CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The one browser of all tests of a process."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install lossval[test]"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def kept_page(chromium: Any) -> Any:
    return chromium.new_page()


class Page:
    """The one page of all tests of a process, since a new one takes most of a second; what it complains of and asks
    for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._listeners = {
            "console": lambda message: self.complaints.append(message.text),
            "pageerror": lambda error: self.complaints.append(str(error)),
            "dialog": self._dismiss,
            "request": lambda request: self.requests.append(request.url),
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)

    def _dismiss(self, dialog: Any) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def goto(self, address: str, *, width: int, color_scheme: str = "light") -> None:
        self.page.set_viewport_size({"width": width, "height": 800})
        self.page.emulate_media(color_scheme=color_scheme, media="screen")
        self.page.goto(address)

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        wider: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return wider

    def close(self) -> None:
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        self.page.goto("about:blank")


@pytest.fixture
def page(kept_page: Any) -> Iterator[Page]:
    opened = Page(kept_page)
    yield opened
    opened.close()


@pytest.fixture
def rendezvous() -> Iterator[dict[str, str]]:
    """Variables by which the processes of a run find one another, as torchrun sets them: the store is in this process,
    at a port that is bound from the start."""
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    yield {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


class _Stream(io.TextIOWrapper):
    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def written(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined]


def frame(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Two features, an id and a label of words; three labels are plainly wrong."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"size": rng.normal(size=rows).round(3), "age": rng.integers(18, 80, rows)})
    table.loc[:2, "size"] = [1.9, -2.1, 2.3]
    table.insert(0, "customer", [f"c{seed}-{row}" for row in range(rows)])
    table["label"] = np.where(table["size"] > 0, "yes", "no")
    table.loc[:2, "label"] = np.where(table["size"][:3] > 0, "no", "yes")
    return table


def trained(train: Any, val: Any, **settings: Any) -> np.ndarray:
    """Importances (N,) by row, of outliers and training alone: most of a short run estimates which labels are wrong."""
    from lossval_cli.features.dataset import load_dataset
    from lossval_cli.features.table_options import TableOptions
    from lossval_cli.lossval.fit import train as fit
    from lossval_cli.noise.estimate import estimate_outliers
    from lossval_cli.runtime.context import Runtime
    from lossval_cli.settings import Settings

    resolved = Settings.resolve(overrides=settings)
    dataset = load_dataset(train, val, options=TableOptions(label="label"), settings=resolved)
    return fit(dataset, estimate_outliers(dataset, resolved).penalty, resolved, Runtime()).importance


@cache
def _contents() -> dict[str, bytes]:
    stream = io.BytesIO()
    frame().to_parquet(stream, index=False)
    texts = {name: table.to_csv(index=False).encode() for name, table in (("train", frame()), ("val", frame(40, 1)))}
    return {"train.csv": texts["train"], "train.parquet": stream.getvalue(), "val.csv": texts["val"]}


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with train.csv, val.csv and train.parquet of the same rows."""
    monkeypatch.chdir(tmp_path)
    for name, content in _contents().items():
        Path(name).write_bytes(content)
    return tmp_path


@pytest.fixture
def cli(tables: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Call `lossval` in this process, in the directory of `tables`."""

    def call(*arguments: str, stdin: bytes = b"", terminal: bool = False) -> Outcome:
        out, err = _Stream(terminal=terminal), _Stream(terminal=terminal)
        source = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "stdin", source)
            patch.setenv("COLUMNS", "80")
            code = main(list(arguments))
        return Outcome(code, out.written(), err.written().decode())

    return call


@pytest.fixture(scope="session")
def past_calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `once` was called with: a folder of folders, which the processes of pytest-xdist share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "past_calls"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def once(cli: Callable[..., Outcome], past_calls: Path, request: pytest.FixtureRequest) -> Callable[..., Outcome]:
    """`cli`, which must succeed; where it was called before on the same files, what it made then is copied. For tests
    that need a run, whichever, and would train it again."""

    def call(*arguments: str) -> Outcome:
        before = {path.name for path in Path().iterdir()}
        contents = [(name, Path(name).read_bytes() if Path(name).is_file() else b"") for name in sorted(before)]
        key = (arguments, contents, sorted({"valued_once", "all_models"} & set(request.fixturenames)))
        kept = past_calls / sha256(repr(key).encode()).hexdigest()
        if kept.exists():
            shutil.copytree(kept / "files", Path(), dirs_exist_ok=True)
            return Outcome(*pickle.loads((kept / "outcome").read_bytes()))
        outcome = cli(*arguments)
        assert outcome.code == 0, outcome.err
        made = Path(tempfile.mkdtemp(dir=past_calls))
        (made / "files").mkdir()
        for path in Path().iterdir():
            if path.name not in before:
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, made / "files" / path.name)
        (made / "outcome").write_bytes(pickle.dumps(tuple(outcome)))
        with contextlib.suppress(OSError):  # another process was faster
            made.rename(kept)
        return outcome

    return call


@pytest.fixture
def scored(once: Callable[..., Outcome]) -> Callable[..., None]:
    """Call `lossval score`, by `once`."""

    def call(*arguments: str) -> None:
        once("score", *arguments)

    return call


class _Remembered(dict[str, Any]):
    """Results by their key, shared with the other processes of pytest-xdist through files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __missing__(self, key: str) -> Any:
        self[key] = pickle.loads((self.folder / key).read_bytes())
        return self[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (self.folder / str(key)).exists()

    def keep(self, key: str, found: Any) -> None:
        self[key] = found
        with contextlib.suppress(pickle.PicklingError, AttributeError, TypeError):
            content = pickle.dumps(found)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(content)
            os.replace(file.name, self.folder / key)


@pytest.fixture(scope="session")
def remembered(past_calls: Path) -> _Remembered:
    """What `valued_once` knows."""
    folder = past_calls / "valued"
    folder.mkdir(exist_ok=True)
    return _Remembered(folder)


@pytest.fixture
def fresh() -> None:
    """In files of `valued_once`, a test that trains whatever was trained on before."""


@pytest.fixture
def all_models() -> None:
    """In files of `valued_once`, a test of how well labels are predicted."""


@pytest.fixture
def valued_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, remembered: _Remembered) -> None:
    """A dataset that was trained on before, with the same settings, is not trained on again, and labels are predicted
    by few models: for tests of what stands around training, such as reading and writing, which is done each time."""
    if "fresh" in request.fixturenames:
        return
    from lossval_cli import pipeline, settings
    from lossval_cli.calibration import trials
    from lossval_cli.noise import out_of_fold, trusted_labels

    # Most of the time of a run on a small table goes to the models of the label: a few are enough here.
    label_models = "all" if "all_models" in request.fixturenames else "few"
    if label_models == "few":
        monkeypatch.setitem(settings.TREES, "low", 0.1)
        monkeypatch.setattr(trusted_labels, "FOLDS", 2)
        monkeypatch.setattr(out_of_fold, "FOLDS", 2)

    value, study = pipeline.value_rows, pipeline.study_removal

    def content(table: Any) -> Any:
        """The table without what is said of its file."""
        return replace(table, name="", lines=None, sha256=None, notices=(), parts=(), _columns={}, _hint=[])

    def key(dataset: Any, settings: Any, runtime: Any, thresholds: Any) -> str | None:
        """None for what cannot be told from another."""
        if runtime is not None and (runtime.monitor.is_needed or runtime.processes.world_size > 1):
            return None
        if not all(isinstance(part.X, np.ndarray) for part in (dataset.train, dataset.val)):
            return None
        train, val = (replace(part, table=content(part.table)) for part in (dataset.train, dataset.val))
        plain = replace(dataset, train=train, val=val, notices=())
        try:
            return sha256(pickle.dumps((plain, settings, thresholds, label_models))).hexdigest()
        except (pickle.PicklingError, AttributeError, TypeError):
            return None

    def value_rows(
        dataset: Any, settings: Any, runtime: Any = None, *, thresholds: Any = None, on_epoch: Any = None
    ) -> Any:
        known = key(dataset, settings, runtime, thresholds)
        if known is None or known not in remembered:
            found = value(dataset, settings, runtime, thresholds=thresholds, on_epoch=on_epoch)
            if known is None:
                return found
            remembered.keep(known, found)
        elif on_epoch is not None:
            for epoch in remembered[known][0].history:
                on_epoch(epoch)
        return remembered[known]

    def study_removal(dataset: Any, fit: Any, noise: Any, settings: Any, mode: str) -> Any:
        known = next((key for key, found in remembered.items() if isinstance(found, tuple) and found[0] is fit), None)
        if known is None:
            return study(dataset, fit, noise, settings, mode)
        known += f"-{mode}"
        if known not in remembered:
            remembered.keep(known, study(dataset, fit, noise, settings, mode))
        return remembered[known]

    monkeypatch.setattr(pipeline, "value_rows", value_rows)
    monkeypatch.setattr(trials, "value_rows", value_rows)
    monkeypatch.setattr(pipeline, "study_removal", study_removal)


@pytest.fixture
def quick() -> tuple[str, ...]:
    """Options that make training short."""
    return QUICK


@pytest.fixture
def everything_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table that can stay in its file does, however small."""
    from lossval_cli.features import streaming
    from lossval_cli.runtime import memory
    from lossval_cli.runtime.memory import MemoryEstimate

    monkeypatch.setattr(streaming, "FEWEST_BYTES", 0)
    monkeypatch.setattr(memory, "spare_memory", lambda: 10**12)
    monkeypatch.setattr(MemoryEstimate, "resident", lambda *_: 10**13)
