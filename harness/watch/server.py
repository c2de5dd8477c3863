"""The page over HTTP, for a browser of this machine alone.

In: a run folder and a listening socket. Out: the page, its data, and the files of a report that is
there. It listens on loopback, answers GET alone, and only what is asked of it by its own name: a
site that makes its own name mean 127.0.0.1 sends that name as `Host`, and a page of another origin
sends `Origin` or `Sec-Fetch-Site`; both are refused. A file of the report is opened as every file
of a run folder is: by a plain name, through no link. The folder is read when somebody looks, and
never more often than the pace allows.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

from harness.watch.beside import LOOPBACK
from harness.watch.follow import Follower
from harness.watch.pace import Pace
from harness.watch.summary import summarize
from headstart.errors import HeadstartError
from headstart.foreign import is_inside, is_plain, read_inside

EVERY_S = 2.0  # between two looks
LOOK_S = 1.0  # processor time of one look: the rest is read by the next one
MOST_WAIT_S = 5.0  # that an answer is kept back, for the pace
REPORT = "report/index.html"
FILES = Path(__file__).parent / "page"
LOOK = Path(__file__).parents[2] / "analysis" / "report" / "templates"  # of the report's page
OWN = {  # what is served under which path: files one after another
    "/": (FILES / "page.html",),
    "/page.js": (FILES / "page.js",),
    "/page.css": (LOOK / "page.css", LOOK / "glance.css", FILES / "page.css"),
    "/chart.json": (FILES / "chart.json",),
}
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; font-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass
class Live:
    """The present data of the page; many requests may ask at once."""

    follower: Follower
    pace: Pace = field(default_factory=Pace)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    is_over: bool = False  # and its report is there
    _data: bytes = b""
    _next_at: float = 0.0

    def __post_init__(self) -> None:
        """Do what takes longest at once, before this process lets all others go first."""
        threading.Thread(target=lambda: self.script, daemon=True).start()
        self.data()

    def data(self) -> bytes:
        """The page's data as JSON, brought up to date where it is time to."""
        with self._lock:
            if not self._data or (self.pace.now() >= self._next_at and not self.pace.wait_s):
                until = time.thread_time() + LOOK_S
                self.follower.look(lambda: time.thread_time() > until)
                content = summarize(self.follower)
                content["report"] = has_report(self.follower)
                self.is_over = content["report"] and content["state"] == "over"
                content["next_s"] = max(EVERY_S, round(self.pace.wait_s, 1))
                self._data = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
                self._next_at = self.pace.now() + EVERY_S
            return self._data

    @cached_property
    def script(self) -> bytes:
        """Vega, Vega-Lite and vega-embed."""
        import vl_convert

        return bytes(vl_convert.javascript_bundle(), "utf-8")  # type: ignore[call-arg]


def has_report(follower: Follower) -> bool:
    """Whether the run is over and its report is there."""
    if follower.alive or not follower.has_begun:
        return False
    try:
        return is_inside(follower.run, REPORT)
    except (HeadstartError, OSError):
        return False


class Server(ThreadingHTTPServer):
    """Serves one `Live` on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, live: Live) -> None:
        super().__init__(listening.getsockname(), Answer, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.live = live
        port = listening.getsockname()[1]
        self.hosts = {f"{name}:{port}" for name in (LOOPBACK, "localhost")}

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away is nobody's mistake."""


class Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    timeout = 20
    server_version, sys_version = "Headstart", ""

    def do_GET(self) -> None:
        time.sleep(min(MOST_WAIT_S, self.server.live.pace.wait_s))
        path, _, _ = self.path.partition("?")
        if not self._is_own():
            self._send(403, "text/plain", b"This page answers under its own address alone.\n")
        elif path == "/data.json":
            self._send(200, "application/json", self.server.live.data())
        elif path == "/vega.js":
            self._send(200, "text/javascript", self.server.live.script)
        elif path == "/" and self.server.live.is_over:
            self._send(302, "text/plain", b"The run is over.\n", {"Location": f"/{REPORT}"})
        elif path in OWN:
            files = OWN[path]
            content = b"\n".join(file.read_bytes() for file in files)
            self._send(200, guess_type(files[0])[0] or "text/plain", content)
        else:
            self._send_of_report(unquote(path.removeprefix("/")))

    def _is_own(self) -> bool:
        """Whether the request is of this page, or of a person who typed or followed its address."""
        headers = self.headers
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site", "none")
        if headers.get("Host") not in self.server.hosts:
            return False
        if origin is not None and origin.removeprefix("http://") not in self.server.hosts:
            return False
        return site in ("none", "same-origin") or headers.get("Sec-Fetch-Mode") == "navigate"

    def _send_of_report(self, name: str) -> None:
        try:
            if not (name.startswith("report/") and is_plain(name)):
                raise FileNotFoundError(name)
            content = read_inside(self.server.live.follower.run, name)
        except (HeadstartError, OSError):
            self._send(404, "text/plain", b"There is no such page.\n")
        else:
            self._send(200, guess_type(name)[0] or "application/octet-stream", content)

    def _send(
        self, status: int, kind: str, content: bytes, more: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.send_response(status)
        text = kind.startswith("text/") or kind == "application/json"
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (*HEADERS.items(), *more.items()):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Without a page of the library's, which repeats what was asked."""
        self._send(405 if code == 501 else code, "text/plain", b"Only GET is answered here.\n")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the console has one line."""
