"""Names and settings that look like commands: each stays what it is in a script, or is refused.

A script is compared with that of a harmless text: as many lines, the same words of bash and the
same options of sbatch, with the hostile text in the harmless one's place.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeSlurm, sbatch_reads

from headstart.errors import InputError
from slurm import render
from slurm.render import Work, parts_of, render_batch_script
from slurm.settings import JobSettings, load_settings
from slurm.submit import main

HARMLESS = "harmless"
LINE_ENDS = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
HIDDEN = ("\0", "\t", "\x1b[2J", "\x7f", "\x9b", "\u202e", "\u2066", "\u200b", "\udcff")
PRINTABLE = (
    "'", '"', "`touch hacked`", "$(touch hacked)", "${HOME}", "$'\\n'", "\\", "\\n", "\\\\",
    "'\\''",
    ";touch hacked;", "&touch hacked&", "|touch hacked|", ">hacked", "<hacked", "(", ")", "{a,b}",
    "#", " # ", "%", "%j", "%%", "!!", "~", "*", "?", "[a]", " ", "  ", "=", "--wrap=x", ":",
    "{{ 7 * 7 }}", "{% raw %}", "{# #}", "ü", "字", "'\"'\"'$(touch hacked)'", "#SBATCH --hold",
)  # fmt: skip
TEXTS = [
    text
    for odd in (*LINE_ENDS, *HIDDEN, *PRINTABLE)
    for text in (f"a{odd}b", f"{odd}#SBATCH --hold")
]
WORK = Work(
    "part2", Path("/runs/slurm/sweep.yaml"), Path("/runs"), (), Path("/home"), "submit", True
)


def _flag(name: str) -> Callable[[str], tuple[JobSettings, Work]]:
    return lambda text: (load_settings(None, {name: text}), WORK)


def _of_work(**change: Callable[[str], object]) -> Callable[[str], tuple[JobSettings, Work]]:
    def make(text: str) -> tuple[JobSettings, Work]:
        fields = {key: value(text) for key, value in change.items()}
        return load_settings(None, {}), replace(WORK, **fields)  # type: ignore[arg-type]

    return make


PLACES: dict[str, Callable[[str], tuple[JobSettings, Work]]] = {
    **{
        name: _flag(name) for name in ("partition", "account", "qos", "memory", "interface", "time")
    },
    "scratch": _flag("scratch"),
    "container": lambda text: (
        load_settings(None, {"container": f"exec {shlex.quote(text)}"}),
        WORK,
    ),
    "modules": lambda text: (load_settings(None, {"modules": (text,)}), WORK),
    "sbatch": lambda text: (load_settings(None, {}, [f"comment={text}"]), WORK),
    "command": _of_work(command=str),
    "arguments": _of_work(arguments=lambda text: ("--set", text)),
    "run": _of_work(run=lambda text: Path("/runs", text), sweep_file=lambda text: Path("/r", text)),
    "folder": _of_work(folder=lambda text: Path("/home", text)),
    "sweep_name": _of_work(sweep_name=str),
}
TAKES_EVERY_LINE = {"sbatch", "container", "command", "arguments", "folder", "sweep_name"}


FAST = ("partition", "sbatch", "arguments", "sweep_name")  # the others go the same ways


@pytest.mark.parametrize(
    "place",
    [pytest.param(place, marks=[pytest.mark.slow] * (place not in FAST)) for place in PLACES],
)
def test_a_hostile_text_stays_in_its_place(place: str) -> None:
    plain = _scripts(place, HARMLESS if place != "time" else "77")
    accepted = []
    for text in TEXTS:
        scripts = _scripts(place, text)
        if isinstance(scripts, InputError):
            assert scripts.exit_status == 2
            assert len(str(scripts).splitlines()) == 1
            assert place not in TAKES_EVERY_LINE or not text.isprintable(), str(scripts)
            continue
        assert text.isprintable()
        for script, plain_script in zip(scripts, plain, strict=True):
            _assert_alike(script, plain_script, text)
        accepted += scripts
    _assert_bash_reads("\n".join(accepted))
    assert accepted or place == "time"


def _scripts(place: str, text: str) -> list[str] | InputError:
    try:
        settings, work = PLACES[place](text)
        return [render_batch_script(settings, work, part) for part in parts_of(settings, work)]
    except InputError as err:
        return err


def _assert_bash_reads(script: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr


def _assert_alike(script: str, plain: str, text: str) -> None:
    for option, plain_option in zip(sbatch_reads(script), sbatch_reads(plain), strict=True):
        in_log = plain_option.replace(HARMLESS, text.replace("%", "%%"))
        is_log = plain_option.startswith("--output")
        assert option == (in_log if is_log else plain_option.replace(HARMLESS, text))
    for line, plain_line in zip(script.splitlines(), plain.splitlines(), strict=True):
        assert line.startswith("#") == plain_line.startswith("#")
        if line != plain_line and not line.startswith("#"):
            words = [word.replace(HARMLESS, text) for word in shlex.split(plain_line)]
            assert shlex.split(line) == words


@pytest.mark.parametrize("place", ["ROOT", "python"])
@pytest.mark.parametrize("odd", ["it's $(touch hacked) `x`", "a\ntouch hacked", "\udcff"])
def test_where_this_checkout_and_its_python_lie(
    monkeypatch: pytest.MonkeyPatch, place: str, odd: str
) -> None:
    def script(name: str) -> str:
        monkeypatch.setattr(render, "ROOT", Path("/opt", name)) if place == "ROOT" else (
            monkeypatch.setattr(sys, "executable", f"/opt/{name}")
        )
        return render_batch_script(load_settings(None, {}), WORK, "ray")

    plain = script(HARMLESS)
    if odd.isprintable():
        _assert_alike(script(odd), plain, odd)
        _assert_bash_reads(script(odd))
    else:
        with pytest.raises(InputError, match="line ends and control characters"):
            script(odd)


@pytest.mark.parametrize(
    "key", ["activate", "setup", "container", "modules", "sbatch", "partition"]
)
@pytest.mark.parametrize("odd", [*LINE_ENDS, *HIDDEN])
def test_a_profile_cannot_bring_a_second_line(tmp_path: Path, key: str, odd: str) -> None:
    text = f"a{odd}touch hacked"
    value = {"setup": [text], "modules": [text], "sbatch": {"comment": text}}.get(key, text)
    profile = tmp_path / "site.yaml"
    profile.write_text(json.dumps({key: value}), encoding="utf-8")  # \u escapes: YAML reads them
    with pytest.raises(InputError) as caught:
        load_settings(profile, {})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("odd", ["\ntouch hacked", "\n#SBATCH --hold", "\x1b[2J", "\udcff"])
def test_file_names_with_line_ends_are_refused_before_anything_is_written(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path, odd: str
) -> None:
    odd_file = tmp_path / os.fsdecode(b"a" + odd.encode("utf-8", "surrogateescape"))
    odd_file.write_bytes(sweep_file.read_bytes())
    run = tmp_path / "run"
    plain = [str(sweep_file), "--out", str(run)]
    for command in (
        [str(odd_file), "--out", str(run)],
        [*plain, "--profile-file", str(odd_file)],
        [str(sweep_file), "--out", str(run) + odd],
        [*plain, "--set", f"question={odd}"],
        [*plain, "--sbatch", f"comment=x{odd}"],
        [*plain, "--partition", f"main{odd}"],
    ):
        with pytest.raises(InputError, match="line ends and control characters") as caught:
            main(command)
        assert len(str(caught.value).splitlines()) == 1
    assert not slurm.calls
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [odd_file.name, sweep_file.name, "slurm-bin"]
    )


def test_a_working_folder_with_a_line_end_is_refused(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a\ntouch hacked"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="line ends and control characters"):
        main([str(sweep_file), "--out", str(tmp_path / "run")])
    assert not slurm.calls
    assert not (tmp_path / "run").exists()


def test_a_run_folder_whose_log_slurm_could_not_write_is_refused(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"a path with a backslash"):
        main([str(sweep_file), "--out", str(tmp_path / "a\\b")])
    assert not (tmp_path / "a\\b").exists()


def test_a_container_whose_words_do_not_end_is_refused() -> None:
    with pytest.raises(InputError, match=r"--container: .* words as a shell reads them"):
        load_settings(None, {"container": "apptainer exec 'x"})


def test_sbatch_reads_backslashes_within_quotes_as_escapes() -> None:
    """As SLURM 22.05 was seen to: the log of `q\\d` went to `qd`."""
    assert sbatch_reads("#!/bin/bash\n#SBATCH --comment='q\\d'\ntrue\n#SBATCH --hold") == [
        "--comment=qd"
    ]
