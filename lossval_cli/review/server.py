"""The review as a web page of this machine alone: 127.0.0.1, a token in the address, no foreign host or origin.

Every answer is for the page that this process has opened. Who does not know the token gets nothing; a page of another
site, which could make the browser ask on its behalf, has another origin; a name that is bent to 127.0.0.1 (DNS
rebinding) is another host.
"""

from __future__ import annotations

import hmac
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lossval_cli.errors import LossvalError
from lossval_cli.report import plots
from lossval_cli.report.page import source_hash, source_of, templates
from lossval_cli.review.progress import Forecast
from lossval_cli.review.session import Session
from lossval_cli.review.words import KEYS, KIND_WORDS, progress_sentence, random_sentence, stop_sentence

HOST = "127.0.0.1"
TOKEN_HEADER = "x-lossval-token"  # noqa: S105  # nosec B105  # a name, not a secret
MOST_BYTES = 1 << 20
"""Of a request."""

MOST_POINTS = 200
"""Points of a curve that are drawn."""


def open_socket(port: int) -> socket.socket:
    """Open a socket that listens on this machine alone; port 0 takes a free one. OSError passes through."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)  # who comes before the server has started waits
    except OSError:
        listener.close()
        raise
    return listener


def serve(app: Starlette, listener: socket.socket) -> None:
    """Serve until interrupted."""
    config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off", server_header=False, ws="none")
    uvicorn.Server(config).run(sockets=[listener])


def make_app(session: Session, token: str, port: int) -> Starlette:
    """The page and what it asks for. One request at a time touches the session."""
    page, policy = _page(session)
    lock = threading.Lock()

    async def locked(work: Callable[[], Any]) -> Response:
        def call() -> Response:
            with lock:
                try:
                    return JSONResponse(work())
                except LossvalError as error:
                    return JSONResponse({"error": str(error)}, 400)

        return await run_in_threadpool(call)

    async def home(_: Request) -> Response:
        return HTMLResponse(page)

    async def state(_: Request) -> Response:
        return await locked(lambda: _state(session, with_rows=True))

    async def row(request: Request) -> Response:
        index = int(request.path_params["index"])
        if index >= len(session.items):
            return JSONResponse({"error": "no such row"}, 404)
        return await locked(lambda: session.cards.card(index))

    async def decide(request: Request) -> Response:
        try:
            said = _decision(await _body(request))
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "not a decision"}, 400)

        def work() -> dict[str, Any]:
            session.decide(**said)
            return _state(session)

        return await locked(work)

    async def undo(_: Request) -> Response:
        return await locked(lambda: {"undone": session.undo()} | _state(session))

    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = _refusal(request, token, port)
        if answer is None:
            answer = await call_next(request)
        answer.headers.update(
            {
                "Content-Security-Policy": policy,
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Cross-Origin-Opener-Policy": "same-origin",
            }
        )
        return answer

    return Starlette(
        routes=[
            Route("/", home),
            Route("/state", state),
            Route("/row/{index:int}", row),
            Route("/decide", decide, methods=["POST"]),
            Route("/undo", undo, methods=["POST"]),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard)],
    )


def _refusal(request: Request, token: str, port: int) -> Response | None:
    """The answer to a request that is not from our own page; None for one that is."""
    hosts = {f"{HOST}:{port}", f"localhost:{port}"}
    if request.headers.get("host") not in hosts:
        return PlainTextResponse("wrong host\n", 403)
    origin = request.headers.get("origin")
    if origin is not None and origin not in {f"http://{host}" for host in hosts}:
        return PlainTextResponse("wrong origin\n", 403)
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return PlainTextResponse("wrong origin\n", 403)
    is_page = request.url.path == "/" and request.method in ("GET", "HEAD")
    given = request.query_params.get("token", "") if is_page else request.headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode()):
        return PlainTextResponse("wrong token: open the address that `lossval review` printed\n", 403)
    return None


async def _body(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ValueError("not JSON")
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MOST_BYTES:
            raise ValueError("too long")
    return json.loads(data)


def _decision(said: Any) -> dict[str, Any]:
    rows, action = said["rows"], said["action"]
    texts = {name: said.get(name) or "" for name in ("value", "column", "note")}
    whole = isinstance(rows, list) and all(isinstance(index, int) and not isinstance(index, bool) for index in rows)
    if not (whole and isinstance(action, str) and all(isinstance(text, str) for text in texts.values())):
        raise TypeError("not a decision")
    return {"indices": rows, "action": action, **texts}


def _state(session: Session, *, with_rows: bool = False) -> dict[str, Any]:
    """Return what is decided and what is expected of the rest; `with_rows`: the queue, too, which never changes."""
    session.refresh()
    seen = session.forecast()
    said: dict[str, Any] = {
        "states": session.states(),
        "order": session.sequence(seen),
        "progress": {
            "sentence": progress_sentence(seen),
            "random": random_sentence(seen),
            "stop": stop_sentence(seen),
            "reviewed": seen.reviewed,
            "wrong": seen.wrong,
            "plot": str(progress_plot(seen)),
        },
        "damaged": len(session.damaged),
    }
    if with_rows:
        said["rows"] = [session.cards.summary(index) for index in range(len(session.items))]
    return said


def progress_plot(seen: Forecast) -> Markup:
    """Wrong rows found against rows reviewed, and what is expected of the rest."""
    R, first = seen.reviewed, float(seen.wrong)
    done = range(0, R + 1, -(-(R + 1) // MOST_POINTS))
    ahead = range(0, seen.left_rows + 1, -(-(seen.left_rows + 1) // MOST_POINTS))
    middle = [first + (seen.expected_low[i] + seen.expected_high[i]) / 2 for i in ahead]
    spread = [(seen.expected_high[i] - seen.expected_low[i]) / 2 for i in ahead]
    lines = [
        plots.Series("likely range", "range", [R + i for i in ahead], middle, spread),
        plots.Series("expected", "second", [R + i for i in ahead], [first + float(seen.expected[i]) for i in ahead]),
        plots.Series("found", "main", list(done), [float(seen.found[i]) for i in done]),
    ]
    return plots.curves(lines, "Wrong rows found, and expected", ("suspects reviewed", "wrong rows found"))


def _page(session: Session) -> tuple[str, str]:
    """The page, and the policy that lets nothing run in it but what is ours."""
    pages = templates("lossval_cli.review", "lossval_cli.report")
    shared, own, script = (source_of(pages, name) for name in ("report.css", "review.css", "review.js"))
    style = shared + own
    page = pages.get_template("review.html").render(
        style=Markup(style),  # noqa: S704  # nosec B704
        script=Markup(script),  # noqa: S704  # nosec B704
        table=session.run.name,
        label=session.label,
        reviewer=session.reviewer,
        keys=KEYS,
        kinds=KIND_WORDS,
        classes=session.cards.classes,
        command=session.command,
        columns=session.cards.columns,
        is_number=not session.cards.classes,
    )
    policy = (
        f"default-src 'none'; connect-src 'self'; style-src {source_hash(style)}; script-src {source_hash(script)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy
