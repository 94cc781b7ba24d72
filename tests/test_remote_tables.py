"""Tables named by a URL: in memory through fsspec, and on a real S3 server on loopback."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

import pyarrow.fs
import pytest
from conftest import Outcome, frame

from lossval_cli.errors import ReadError
from lossval_cli.runs.destination import default_directory
from lossval_cli.tables import remote
from lossval_cli.tables.table import read_table
from lossval_cli.text.urls import shown_url

fsspec = pytest.importorskip("fsspec")


def test_a_file_a_directory_and_a_glob_of_a_store_are_tables() -> None:
    store = fsspec.filesystem("memory")
    table = frame()
    for name, part in (("a", table[:20]), ("b", table[20:])):
        store.pipe(f"/tables/year={name}/part.csv", part.to_csv(index=False).encode())
    store.pipe("/tables/_SUCCESS", b"")
    assert read_table("memory://tables/year=a/part.csv").rows == 20
    assert read_table("memory://tables").rows == len(table)
    assert read_table("memory://tables/*/part.csv").rows == len(table)
    for url, message in (
        ("memory://tables/none.csv", "memory://tables/none.csv does not exist"),
        ("memory://tables/*.tsv", "no file matches memory://tables/\\*.tsv"),
        ("nosuch://x/t.csv", "nosuch://x/t.csv cannot be read: Protocol not known"),
    ):
        with pytest.raises(ReadError, match=message):
            read_table(url)
    store.pipe("/lake/_delta_log/0.json", b"{}")
    store.pipe("/lake/part.csv", table.to_csv(index=False).encode())
    with pytest.raises(ReadError, match="memory://lake is a Delta table"):
        read_table("memory://lake")


class Web(SimpleHTTPRequestHandler):
    """The files of the working directory; what is called private is refused."""

    def log_message(self, *_: object) -> None:
        pass

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        self.path = self.path.partition("?")[0]
        if "private" in self.path:
            self.send_error(403)
            return None
        return super().send_head()


def test_a_table_of_a_web_server_is_read_or_why_not_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.chdir(tmp_path)
    frame().to_csv("t.csv.gz", index=False)
    Path("login.csv").write_text("<!DOCTYPE html><html>")
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            web = f"http://127.0.0.1:{server.server_port}"
            assert read_table(f"{web}/t.csv.gz?sig=secret").rows == len(frame())
            for name, message in (
                ("none.csv", "none.csv does not exist"),
                ("login.csv", "login.csv is an HTML page"),
                ("private.csv", "private.csv cannot be read: 403"),
            ):
                with pytest.raises(ReadError, match=message) as caught:
                    read_table(f"{web}/{name}?sig=secret")
                assert "secret" not in str(caught.value)
        finally:
            server.shutdown()


def test_secrets_of_a_url_are_not_shown() -> None:
    assert shown_url("https://me:secret@a.org/t.csv?sig=secret") == "https://a.org/t.csv"
    assert default_directory("https://a.org/t.csv?sig=se.cret") == "t.lossval"
    assert shown_url("C:/tables/t.csv?x") == "C:/tables/t.csv?x"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[pyarrow.fs.S3FileSystem]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    remote._s3.cache_clear()
    store = pyarrow.fs.S3FileSystem(
        endpoint_override=f"{host}:{port}", scheme="http", region="us-east-1", allow_bucket_creation=True
    )
    store.create_dir("bucket")
    yield store
    remote._s3.cache_clear()
    server.stop()


@pytest.mark.slow
def test_a_table_in_s3_is_scored_and_cleaned(
    bucket: pyarrow.fs.S3FileSystem, cli: Callable[..., Outcome], quick: tuple[str, ...]
) -> None:
    table = frame()
    parquet = io.BytesIO()
    table[:30].to_parquet(parquet, index=False)
    for name, data in (
        ("t.csv", table.to_csv(index=False).encode()),
        ("parts/a.parquet", parquet.getvalue()),
        ("parts/b.parquet", parquet.getvalue()),
    ):
        with bucket.open_output_stream(f"bucket/{name}") as stream:
            stream.write(data)
    assert read_table("s3://bucket/parts").rows == read_table("s3://bucket/parts/*.parquet").rows == 60
    assert (outcome := cli("score", "s3://bucket/t.csv", "-o", "run", *quick)).code == 0, outcome.err
    assert json.loads(Path("run/run.json").read_text())["inputs"]["train"]["name"] == "t.csv"
    cleaned = cli("clean", "run", "--data", "s3://bucket/t.csv", "--drop", "lowest:10%", "-o", "cleaned.csv")
    assert cleaned.code == 0, cleaned.err
    assert read_table("cleaned.csv").rows == 54
    assert cli("validate", "s3://bucket/none.csv").err == "error: s3://bucket/none.csv does not exist\n"
