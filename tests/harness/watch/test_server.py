"""Who is answered, with what, and at what pace."""

from __future__ import annotations

import http.client
import json
import threading

import pytest

from harness.watch.__main__ import main
from harness.watch.beside import listen, serving
from harness.watch.follow import Follower
from harness.watch.pace import SHARE, START_S, Pace
from harness.watch.server import EVERY_S, Live, Server
from headstart.cli import status_of


@pytest.fixture
def ask(run, monkeypatch):
    """Ask the server of a made run for a path; gives status, headers and content."""
    monkeypatch.setattr(Live, "script", b"// the chart's script")
    run.begin()
    run.end(run.ids[0])
    listening = listen(0)
    port = listening.getsockname()[1]
    clock = [100.0]
    live = Live(Follower(run.path), Pace(lambda: clock[0], lambda: 0.0))
    server = Server(listening, live)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def ask(path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value.replace("PORT", str(port)))
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    ask.live, ask.clock = live, clock
    yield ask
    server.shutdown()
    server.server_close()


def test_the_page_and_its_parts_are_served_and_nothing_else(ask):
    for path in (
        "/",
        "/?again=1",
        "/page.js",
        "/page.css",
        "/chart.json",
        "/data.json",
        "/vega.js",
    ):
        status, headers, content = ask(path)
        assert (status, len(content)) == (200, int(headers["Content-Length"]))
        assert content
    data = json.loads(ask("/data.json")[2])
    assert data["arms"][1]["name"] == "<i>a</i>"
    assert b"<i>" not in ask("/")[2], "names come as data alone"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/sweep.yaml", "/trials/nx0/trial.json", "/report", "/report/", "/page/page.js",
        "/report/../sweep.yaml", "/report/%2e%2e/sweep.yaml", "/report/..%2fsweep.yaml",
        "/../../etc/passwd", "/report/..\\sweep.yaml", "/report/.hidden", "/report/a%00b", "/%",
        "/report/link.html", "/report/pipe", "//etc/passwd", "*",
    ],
)  # fmt: skip
def test_nothing_else_of_the_disk_is_served(ask, run, path):
    import os

    (run.path / "report").mkdir()
    (run.path / "report" / "link.html").symlink_to(run.path / "sweep.yaml")
    (run.path / "report" / ".hidden").write_text("no")
    os.mkfifo(run.path / "report" / "pipe")
    assert ask(path)[0] == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:PORT"}, 200),
        ({"Host": "evil.example:PORT"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Host": "127.0.0.1.evil.example:PORT"}, 403),
        ({"Origin": "http://127.0.0.1:PORT"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}, 200),
    ],
)
def test_pages_of_others_get_nothing(ask, headers, status):
    assert ask("/data.json", **headers)[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"])
def test_get_alone_is_answered(ask, method):
    status, _, content = ask("/data.json", method)
    assert status == 405
    assert b"made" not in content


def test_a_run_that_is_over_leads_to_its_report(ask, run):
    for trial_id in run.ids:
        run.end(trial_id)
    (run.path / "report").mkdir()
    (run.path / "report" / "index.html").write_text("<p>report")
    run.lock.release()
    ask.clock[0] += EVERY_S
    data = json.loads(ask("/data.json")[2])
    assert (data["state"], data["report"]) == ("over", True)
    status, headers, _ = ask("/")
    assert (status, headers["Location"]) == (302, "/report/index.html")
    assert ask("/report/index.html")[2] == b"<p>report"


def test_many_watchers_read_the_folder_once(ask, monkeypatch):
    looks = []
    look = ask.live.follower.look
    monkeypatch.setattr(ask.live.follower, "look", lambda *a: looks.append(1) or look(*a))
    ask.clock[0] += EVERY_S
    threads = [threading.Thread(target=ask, args=("/data.json",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert looks == [1]


def test_a_page_that_has_used_its_share_waits():
    clock, used = [0.0], [0.0]
    pace = Pace(lambda: clock[0], lambda: used[0], cpus=4)
    used[0] = START_S
    assert pace.wait_s == 0.0
    used[0] = START_S + 1.0
    assert pace.wait_s == pytest.approx(1.0 / (4 * SHARE))
    clock[0] = 1.0 / (4 * SHARE)
    assert pace.wait_s == pytest.approx(0.0)


def test_wrong_input_is_one_line(tmp_path, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "run" / "trials").mkdir(parents=True)
    taken = listen(0)
    port = str(taken.getsockname()[1])
    for arguments, said in (
        ([str(tmp_path / "other")], "is no run folder"),
        ([str(tmp_path / "missing")], "is no run folder"),
        ([str(tmp_path / "run"), "--port", port], f"port {port}: cannot be used"),
        ([str(tmp_path / "run"), "--port", "70000"], "port 70000: cannot be used"),
    ):
        assert status_of(main, arguments) == 2
        out, err = capsys.readouterr()
        assert said in err
        assert (out, err.count("\n")) == ("", 1)
    taken.close()


@pytest.mark.slow
def test_beside_a_sweep_it_is_served_until_the_block_ends(run):
    """A process of its own, which loads what it needs: seconds."""
    run.begin()
    with serving(run.path, 0) as address:
        host = address.removeprefix("http://").strip("/")
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("GET", "/data.json")
        assert json.loads(connection.getresponse().read())["name"] == "made"
    with pytest.raises(ConnectionError):
        http.client.HTTPConnection(host, timeout=60).request("GET", "/")
