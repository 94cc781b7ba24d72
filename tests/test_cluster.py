"""The engines that people have: Spark, Ray, and several hosts. Each gives the ranking of one process, and a worker that
is killed ends in one clear line and a run that can be resumed.

`pytest -m cluster` runs them; they need pyspark and Java 17, Ray, or root and `ip netns` (the extra `cluster`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import lossval_cli

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ROOT = Path(lossval_cli.__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_TRAIN_V2_ENABLED": "1"}
OPTIONS: dict[str, Any] = {"label": "label", "effort": "low", "epochs": 5, "removal": "off"}
ENDED = "another process of this run has ended or cannot be reached; nothing was written"


def needs(*modules: str, command: str = "") -> pytest.MarkDecorator:
    """Skip where something is not installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if command and shutil.which(command) is None:
        missing.append(command)
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def make_table(rows: int, seed: int) -> pd.DataFrame:
    """Six columns and two classes; one label in twelve is flipped in the table of seed 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 6)).round(4)
    positive = X[:, 0] + 0.7 * X[:, 1] + 0.3 * rng.normal(size=rows) > 0
    positive ^= (rng.random(rows) < 1 / 12) & (seed == 0)
    return pd.DataFrame(X, columns=list("abcdef")).assign(label=np.where(positive, "yes", "no"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with train.parquet and val.parquet."""
    monkeypatch.chdir(tmp_path)
    make_table(500, 0).to_parquet("train.parquet", index=False)
    make_table(200, 1).to_parquet("val.parquet", index=False)
    return tmp_path


def importance(scores: pd.DataFrame) -> pd.Series:
    return scores.set_index("row").sort_index()["importance"]


def agreement(scores: pd.DataFrame) -> float:
    """Spearman's correlation with the importances that one process finds."""
    alone = lossval_cli.score("train.parquet", "val.parquet", **OPTIONS).scores
    return float(spearmanr(importance(alone), importance(scores)).statistic)


def run_script(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    Path("script.py").write_text(text)
    environment = ENVIRONMENT | {"PYSPARK_PYTHON": sys.executable, "SPARK_WORKER_DIR": str(Path("work").absolute())}
    return subprocess.run(
        [sys.executable, "script.py", *arguments], env=environment, capture_output=True, text=True, timeout=600
    )


SPARK = """
import json
import os
import signal
import sys

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

master, options = sys.argv[1], json.loads(sys.argv[2])


def score(options, killed):
    import lossval_cli

    def kill(epoch):
        if epoch.epoch == killed:
            os.kill(os.getpid(), signal.SIGKILL)

    result = lossval_cli.score(**options, on_epoch=kill)
    return None if result is None else result.scores


spark = SparkSession.builder.master(master).config("spark.ui.enabled", "false").getOrCreate()
distributor = TorchDistributor(num_processes=2, local_mode=master == "local[2]", use_gpu=False)
distributor.run(score, options, int(sys.argv[3])).to_parquet("spark.parquet")
"""


@needs("pyspark", command="java")
@pytest.mark.parametrize("master", ["local[2]", "local-cluster[2,1,1024]"])
def test_spark(folder: Path, master: str) -> None:
    """TorchDistributor with two processes, on the driver and on two executors. When the first one is killed, the job
    fails with a line of the other one, and the same job resumes."""
    paths = {name: str(folder / f"{name}.parquet") for name in ("train", "val")}
    options = json.dumps(OPTIONS | paths | {"checkpoint": str(folder / "c"), "checkpoint_every": 1e-3})
    killed = run_script(SPARK, master, options, "3")
    assert killed.returncode != 0 and f"DistributedError: {ENDED}" in killed.stdout + killed.stderr
    assert Path("c").exists() and not Path("spark.parquet").exists()
    done = run_script(SPARK, master, json.dumps(json.loads(options) | {"resume": True}), "0")
    assert done.returncode == 0, done.stderr
    assert not Path("c").exists()
    assert agreement(pd.read_parquet("spark.parquet")) > 0.99


RAY = """
import json
import os
import signal
import sys

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

folder, options = sys.argv[1], json.loads(sys.argv[2])


def score(options):
    import lossval_cli

    def kill(epoch):
        if not os.path.exists(f"{folder}/killed"):
            if epoch.epoch == 3:
                open(f"{folder}/killed", "x").close()
                os.kill(os.getpid(), signal.SIGKILL)

    result = lossval_cli.score(**options, on_epoch=kill)
    if result is not None:
        result.write(f"{folder}/ray")


ray.init(num_cpus=2, include_dashboard=False)
trainer = TorchTrainer(
    score,
    train_loop_config=options,
    scaling_config=ScalingConfig(num_workers=2),
    run_config=RunConfig(storage_path=f"{folder}/storage", failure_config=FailureConfig(max_failures=int(sys.argv[3]))),
)
trainer.fit()
"""


@pytest.fixture
def bucket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a bucket with both tables, on a server of this machine."""
    import pyarrow.fs

    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in (keys | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    store = pyarrow.fs.S3FileSystem(
        access_key="key", secret_key="secret", endpoint_override=f"http://{host}:{port}", allow_bucket_creation=True
    )
    store.create_dir("tables")
    for name in ("train.parquet", "val.parquet"):
        with store.open_output_stream(f"tables/{name}") as file:
            file.write(Path(name).read_bytes())
    yield "s3://tables"
    server.stop()


@needs("ray", "moto")
def test_ray(folder: Path, bucket: str) -> None:
    """TorchTrainer with two workers, tables on object storage. When a worker is killed, the run fails with a line of
    the other one; where Ray may start the workers again, they resume."""
    tables = {name: f"{bucket}/{name}.parquet" for name in ("train", "val")}
    saving = {"checkpoint": str(folder / "c"), "checkpoint_every": 1e-3, "resume": True}
    options = json.dumps(OPTIONS | tables | saving)
    failed = run_script(RAY, str(folder), options, "0")
    assert failed.returncode != 0 and Path("c").exists() and not Path("ray").exists()
    assert ENDED in failed.stdout + failed.stderr
    Path("killed").unlink()
    Path("c").unlink()
    done = run_script(RAY, str(folder), options, "1")
    assert done.returncode == 0, done.stderr
    assert Path("killed").exists() and not Path("c").exists()
    assert agreement(pd.read_parquet("ray/scores.parquet")) > 0.99


def run_ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces, joined by a cable: 10.77.0.1 and 10.77.0.2."""
    names = [f"lossval{os.getpid()}{end}" for end in "ab"]
    try:
        for name in names:
            run_ip("netns", "add", name)
        ends = [f"v{os.getpid()}{end}" for end in "ab"]
        run_ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for i, (name, end) in enumerate(zip(names, ends, strict=True)):
            run_ip("link", "set", end, "netns", name)
            run_ip("-n", name, "addr", "add", f"10.77.0.{i + 1}/24", "dev", end)
            for device in ("lo", end):
                run_ip("-n", name, "link", "set", device, "up")
        yield names
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces: {error.stderr.decode().strip()}")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


TABLES = "-m lossval_cli score train.parquet --val val.parquet --effort low --removal off -o run"


def start(host: str, rank: int, *options: str, torchrun: bool = True) -> subprocess.Popen[str]:
    """The process of this rank of two, on `host`: started by torchrun, or by its environment, as Kubernetes does."""
    launcher, around = "", dict(ENVIRONMENT)
    if torchrun:
        launcher = f"-m torch.distributed.run --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-id {os.getpid()}"
        launcher += f" --rdzv-endpoint 10.77.0.1:29411 --local-addr 10.77.0.{rank + 1} --rdzv-conf is_host={1 - rank} "
    else:
        around |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "10.77.0.1", "MASTER_PORT": "29412"}
    command = ["ip", "netns", "exec", host, sys.executable, *(launcher + TABLES).split(), *options]
    return subprocess.Popen(command, env=around, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@needs(command="ip")
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_two_hosts(folder: Path, hosts: list[str]) -> None:
    """`torchrun --nnodes 2`. When the process of one host is killed, the other host says so in one line, and the same
    command with --resume goes on."""
    saving = ("--set", "epochs=200", "--checkpoint-every", "0.1s")
    running = [start(host, rank, *saving) for rank, host in enumerate(hosts)]
    while not Path(".run.checkpoint").exists():
        assert all(one.poll() is None for one in running), [one.communicate() for one in running]
        time.sleep(0.05)
    os.kill(worker(running[1].pid), signal.SIGKILL)
    said = [one.communicate(timeout=120)[1] for one in running]
    lines = [line for line in said[0].splitlines() if re.match("error|internal|interrupted|note", line)]
    assert len(lines) == 1 and "nothing was written" in lines[0], said[0]
    assert all(one.returncode for one in running) and not Path("run").exists()
    running = [start(host, rank, "--resume", *saving) for rank, host in enumerate(hosts)]
    said = [one.communicate(timeout=300)[1] for one in running]
    assert [one.returncode for one in running] == [0, 0], said
    assert not Path(".run.checkpoint").exists()


@needs(command="ip")
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.parametrize("torchrun", [True, False])
def test_two_hosts_rank_as_one(folder: Path, hosts: list[str], torchrun: bool) -> None:
    running = [start(host, i, "--set", "epochs=5", torchrun=torchrun) for i, host in enumerate(hosts)]
    said = [one.communicate(timeout=300)[1] for one in running]
    assert [one.returncode for one in running] == [0, 0], said
    assert agreement(pd.read_parquet("run/scores.parquet")) > 0.99


def worker(launcher: int) -> int:
    """The process that this torchrun has started."""
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if b"\0RANK=" in Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError(launcher)
