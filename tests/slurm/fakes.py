"""SLURM's commands as small scripts, which answer from files, and a small sweep to submit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SWEEP = """\
name: small
question: Does pretraining on drawn digits help on other drawn digits?
model: {name: lenet5}
data: {name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 3, evaluate_every: {steps: 4}}
pretrain:
  drawn:
    data: {name: glyphs, count: 300, seed: 2, train: 200, validation: 50}
    train: {epochs: 2}
arms:
  scratch: {}
  pretrained: {initialize: drawn}
seeds: 2
compare: [{treatment: pretrained, control: scratch}]
measure: {targets: [0.3, 0.5], equivalence: 0.01}
"""


class FakeSlurm:
    """A folder of commands at the front of PATH; every call is written down."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder = folder
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def answer(self, command: str, text: str = "", complaint: str = "", status: int = 0) -> None:
        """Let a command print `text` and `complaint` (to stderr) and end with `status`."""
        (self.folder / f"{command}.out").write_text(text)
        (self.folder / f"{command}.err").write_text(complaint)
        script = self.folder / command
        script.write_text(
            f'#!/bin/bash\necho "{command} $*" >> "{self.folder}/calls"\n'
            f'cat "{self.folder}/{command}.out"; cat "{self.folder}/{command}.err" >&2\n'
            f"exit {status}\n"
        )
        script.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


def sbatch_reads(script: str) -> list[str]:
    """The options that sbatch takes from a batch script, read by its own rules.

    Lines of `#SBATCH` count up to the first line that is no comment. Quotes of both kinds group, an
    unquoted `#` begins a comment, and a backslash escapes everywhere, within quotes too.
    """
    options = []
    for line in script.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        if line.startswith("#SBATCH"):
            options += _words_of_sbatch(line.removeprefix("#SBATCH"))
    return options


def _words_of_sbatch(line: str) -> list[str]:
    words, word, quote = [], "", ""
    letters = iter(line)
    for letter in letters:
        if letter == "\\":
            word += next(letters)
        elif quote:
            quote, word = ("", word) if letter == quote else (quote, word + letter)
        elif letter in "'\"":
            quote = letter
        elif letter == "#":
            break
        elif letter.isspace():
            words, word = [*words, word] if word else words, ""
        else:
            word += letter
    assert not quote, f"sbatch refuses the unmatched {quote} of {line}"
    return [*words, word] if word else words
