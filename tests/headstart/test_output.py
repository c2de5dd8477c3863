from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.output import is_text, on_one_line, terminal_width

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = """
import os, sys
from headstart.cli import run_command
from headstart.errors import InputError
"""


def command(body: str, redirect: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A command whose `main` is `body`, started by a shell with a redirection."""
    lines = "\n    ".join(body.splitlines())
    program = f"{PRELUDE}\ndef main(argv):\n    {lines}\nrun_command(main)\n"
    return subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {redirect}; echo "status ${{PIPESTATUS[0]}}" >&2',
         sys.executable, program],
        capture_output=True, encoding="utf-8", errors="backslashreplace", timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_text_that_the_console_lacks_is_shown_as_escapes(encoding):
    body = 'print("5 – 7 “é” █")\nprint("± 2 – 3", file=sys.stderr)'
    done = command(body, PYTHONIOENCODING=encoding)
    assert done.stderr.endswith("status 0\n")
    if encoding == "ascii":
        assert done.stdout == "5 \\u2013 7 \\u201c\\xe9\\u201d \\u2588\n"
        assert done.stderr.startswith("\\xb1 2 \\u2013 3")


@pytest.mark.parametrize("status", [0, 3])
def test_a_reader_that_goes_away_changes_no_status(status):
    done = command(f"for i in range(100_000): print(i)\nreturn {status}", "| head -1")
    assert (done.stdout, done.stderr) == ("0\n", f"status {status}\n")


def test_an_error_stream_that_nobody_reads_changes_no_status():
    body = 'for i in range(100_000): print(i, file=sys.stderr)\nopen("/dev/fd/1","w").write("end")'
    done = command(body, "2> >(head -1 >&2)")
    assert done.stdout == "end"
    assert "status 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("returned", "status"), [(0, 1), (75, 75)])
def test_a_full_disk_below_the_output_is_said(returned, status):
    done = command(f'print("result")\nreturn {returned}', ">/dev/full")
    line = "standard output took not all: No space left on device\n"
    assert done.stderr == f"{line}status {status}\n"


def test_help_that_a_full_disk_did_not_take_is_said():
    done = command(
        'import argparse\nargparse.ArgumentParser().parse_args(["--help"])', ">/dev/full"
    )
    assert done.stderr.endswith("No space left on device\nstatus 1\n")


def test_a_full_disk_below_the_error_stream_changes_no_status():
    done = command('print("x", file=sys.stderr)\nprint("result")', "2>/dev/full")
    assert (done.stdout, done.stderr) == ("result\n", "status 0\n")


def test_a_closed_output_is_not_the_next_file_that_is_opened(tmp_path):
    body = f'file = open({str(tmp_path / "data")!r}, "w")\nprint("shown")\nfile.write("kept")'
    for redirect in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        done = command(body + '\nos.write(2, b"noise")', redirect)
        assert done.stderr.endswith("status 0\n")
        assert (tmp_path / "data").read_text() == "kept"


@pytest.mark.parametrize(
    ("body", "message", "status"),
    [
        ('raise InputError("a.yaml:3: wrong")', "a.yaml:3: wrong\n", 2),
        ('open("/proc/none/x", "w")', "/proc/none/x: No such file or directory\n", 2),
        (f'open("/tmp/{"x" * 300}")', f"/tmp/{'x' * 300}: File name too long\n", 2),
        ('os.rename("/nonexistent/a", "/nonexistent/b")',
         "/nonexistent/a: /nonexistent/b: No such file or directory\n", 2),
        ('with open("/dev/full", "w") as file: file.write("x")', "No space left on device\n", 1),
        ("bytearray(1 << 62)", "there is not enough memory: \n", 1),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_a_status(body, message, status):
    done = command(body)
    assert done.stderr == f"{message}status {status}\n"


def test_a_bug_keeps_its_traceback():
    done = command("raise KeyError(1)")
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("status 1\n")


def test_a_working_folder_that_is_gone_is_one_line(tmp_path):
    program = f"{PRELUDE}\nrun_command(lambda argv: 0)"
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["bash", "-c", f'cd {gone}; rmdir {gone}; "$0" -c "$1"', sys.executable, program],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("the working folder is gone")


def test_names_that_are_not_utf_8_are_refused_first():
    program = f"{PRELUDE}\nrun_command(lambda argv: print(argv))".encode()
    for argument, more, message in (
        (b"caf\xe9", {}, "argument 1: 'caf\\udce9' is not UTF-8"),
        (b"a", {b"HEADSTART_DATA": b"caf\xe9"}, "HEADSTART_DATA: 'caf\\udce9' is not UTF-8"),
    ):
        done = subprocess.run(
            [sys.executable.encode(), b"-c", program, argument], capture_output=True, text=True,
            env={**os.environb, b"PYTHONPATH": os.fsencode(ROOT), **more},
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith(message)


@pytest.mark.parametrize(("console", "shown"), [("", "\\xe9"), ("utf-8", "é")])
def test_a_file_has_any_name_in_a_locale_that_is_not_utf_8(tmp_path, console, shown):
    body = f'os.mkdir("{tmp_path}/" + chr(233) + chr(0x4E2D))\nprint(chr(233))\nreturn 75'
    old = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = command(body, **old, **({"PYTHONIOENCODING": console} if console else {}))
    assert done.stderr == "status 75\n"
    assert done.stdout == f"{shown}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["é中"]


def test_control_characters_are_shown():
    assert on_one_line("a\nb\x1b[31mé\u2028") == "a\\nb\\x1b[31mé\\u2028"


def test_half_characters_are_no_text():
    assert is_text("café")
    assert not is_text("caf\udce9")


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\x08", "\r", "\x7f", "\x9b", "\u202e", "\0"])
def test_standard_output_shows_what_a_terminal_would_obey(sign):
    done = command(f"print({('name' + sign + '[2Jx')!r})", PYTHONIOENCODING="utf-8")
    assert done.stdout == f"name{sign!r}[2Jx\n".replace("'", "")
    assert sign not in done.stdout


def test_lines_tabs_and_letters_of_any_script_are_themselves():
    text = "a\tb\nс нуля 训练 à l’essai 🙂 x\u00a0y"
    assert command(f"print({text!r})", PYTHONIOENCODING="utf-8").stdout == f"{text}\n"


def test_only_a_terminal_has_a_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "91")
    stream = io.StringIO()
    assert terminal_width(None) is None
    assert terminal_width(stream) is None
    monkeypatch.setattr(stream, "isatty", lambda: True)
    assert terminal_width(stream) == 91
    monkeypatch.setenv("COLUMNS", "5")
    assert terminal_width(stream) == 40
