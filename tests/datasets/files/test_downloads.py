"""Fetching from a server on loopback: resumed where it broke off, refused when it is wrong."""

import contextlib
import hashlib
import http.server
import os
import threading
import time

import pytest

from datasets.files import downloads
from datasets.files.downloads import Download, fetch
from headstart.errors import DataError, DataNotFoundError
from headstart.files import temporary_beside

CONTENT = bytes(range(256)) * 4000  # 1 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MISSING = DataNotFoundError("put it there")


class Server:
    """Serves CONTENT at /file; each entry of `breaks` ends one answer after so many bytes."""

    def __init__(self):
        self.breaks: list[int] = []
        self.ranges: list[str | None] = []
        self.knows_ranges = True
        self.content = CONTENT
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/file"

    def answer(self, handler):
        wanted = handler.headers.get("Range")
        self.ranges.append(wanted)
        if handler.path != "/file":
            handler.send_error(404)
            return
        start = int(wanted[len("bytes=") : -1]) if wanted and self.knows_ranges else 0
        if start >= len(self.content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        end = start + self.breaks.pop(0) if self.breaks else len(self.content)
        handler.wfile.write(self.content[start:end])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def download(server, tmp_path, **changed):
    wanted = {"addresses": [server.address], "checksum": f"sha256:{SHA256}"} | changed
    return Download(path=tmp_path / "below" / "file.bin", **wanted)


def test_a_file_arrives_whole(server, tmp_path):
    path = fetch(download(server, tmp_path), MISSING)
    assert path.read_bytes() == CONTENT
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    fetch(download(server, tmp_path), MISSING)
    fetch(download(server, tmp_path), MISSING)
    assert len(server.ranges) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.breaks = [300_000, 400_000]
    assert fetch(download(server, tmp_path), MISSING).read_bytes() == CONTENT
    assert server.ranges[0] is None
    first, second = (int(each[len("bytes=") : -1]) for each in server.ranges[1:])
    assert 0 < first <= 300_000 < second <= 700_000


def test_a_later_command_goes_on_from_what_an_earlier_one_left(server, tmp_path):
    server.breaks = [200_000] * 4
    with pytest.raises(DataNotFoundError, match="broke off again and again") as caught:
        fetch(download(server, tmp_path), MISSING)
    assert caught.value.why == "fetching it failed"
    path = fetch(download(server, tmp_path), MISSING)
    assert path.read_bytes() == CONTENT
    assert len(server.ranges) == 5


def test_what_a_killed_command_left_is_taken_up(server, tmp_path):
    path = download(server, tmp_path).path
    path.parent.mkdir()
    own = temporary_beside(path)
    own.with_name(own.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")).write_bytes(CONTENT[:9])
    assert fetch(download(server, tmp_path), MISSING).read_bytes() == CONTENT
    assert server.ranges == ["bytes=9-"]
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


def test_commands_that_fetch_the_same_file_at_once_do_not_disturb_each_other(server, tmp_path):
    server.breaks = [200_000, 300_000, 100_000]  # one command may meet all of them
    fetched = []
    threads = [
        threading.Thread(target=lambda: fetched.append(fetch(download(server, tmp_path), MISSING)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 4
    assert fetched[0].read_bytes() == CONTENT
    assert [each.name for each in fetched[0].parent.iterdir()] == ["file.bin"]


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.knows_ranges, server.breaks = False, [300_000]
    assert fetch(download(server, tmp_path), MISSING).read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_leaves_nothing(server, tmp_path):
    wanted = download(server, tmp_path, checksum="md5:" + "0" * 32)
    with pytest.raises(DataError, match=f"{server.address}: md5 .* instead of 000") as caught:
        fetch(wanted, MISSING)
    assert not isinstance(caught.value, DataNotFoundError)
    assert not list(wanted.path.parent.iterdir())


def test_the_next_address_is_tried_when_one_does_not_have_it(server, tmp_path):
    addresses = [server.address.replace("/file", "/elsewhere"), server.address]
    assert fetch(download(server, tmp_path, addresses=addresses), MISSING).exists()


def test_a_file_over_the_limit_is_refused(server, tmp_path):
    with pytest.raises(DataError, match="which is the limit"):
        fetch(download(server, tmp_path, limit_bytes=500_000), MISSING)
    assert not (tmp_path / "below" / "file.bin").exists()


def test_no_server_is_the_callers_message_with_the_reason(tmp_path, server):
    server.server.shutdown()
    server.server.server_close()
    begin = time.monotonic()
    with pytest.raises(
        DataNotFoundError, match=r"^put it there; fetching it failed: .*refused"
    ) as caught:
        fetch(download(server, tmp_path), MISSING)
    assert caught.value.why == "no connection to fetch it"
    assert time.monotonic() - begin < downloads.CONNECT_TIMEOUT_S


@pytest.mark.parametrize("has_length", [True, False])
def test_a_server_that_dribbles_is_given_up(server, tmp_path, monkeypatch, has_length):
    """A byte now and then keeps every read within its time; without a length there is no end."""
    monkeypatch.setattr(downloads, "SLOW_S", 0.3)
    monkeypatch.setattr(downloads, "LEAST_BYTES", 1000)

    def dribble(handler):
        server.ranges.append(handler.headers.get("Range"))
        handler.send_response(200)
        if has_length:
            handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(CONTENT[:100_000])
            for _ in range(4000):
                handler.wfile.write(b"x")
                time.sleep(0.05)

    monkeypatch.setattr(server, "answer", dribble)
    begin = time.monotonic()
    with pytest.raises(DataNotFoundError, match=r"^put it there; .*: it sends less than"):
        fetch(download(server, tmp_path), MISSING)
    assert time.monotonic() - begin < 60
    assert len(server.ranges) == 1
    assert not (tmp_path / "below" / "file.bin").exists()


def test_an_empty_answer_is_no_file(server, tmp_path, monkeypatch):
    def nothing(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    monkeypatch.setattr(server, "answer", nothing)
    with pytest.raises(DataError, match="instead of"):
        fetch(download(server, tmp_path), MISSING)
