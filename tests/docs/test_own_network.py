"""docs/own-network.md: its files are written, and every command on the page is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own-network.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [text for name, text in BLOCKS if name == kind]


def commands() -> list[str]:
    lines = [line for text in blocks("") for line in text.splitlines()]
    return [line for line in lines if line.startswith("headstart ")]


def prepare(folder: Path) -> None:
    """The page's files, photographs of two classes, and a checkpoint."""
    for text in blocks("python"):
        name = text.splitlines()[0].removeprefix("# ")
        (folder / name).write_text(text, encoding="utf-8")
    question, train = blocks("yaml")
    question = question.replace("epochs: 10", "epochs: 1").replace("seeds: 5", "seeds: 2")
    (folder / "question.yaml").write_text(question, encoding="utf-8")
    own_train = re.sub(r"^train: .*$", lambda _: train.rstrip(), question, flags=re.MULTILINE)
    (folder / "parts.yaml").write_text(own_train, encoding="utf-8")
    rng = np.random.default_rng(0)
    for part, n in (("train", 24), ("test", 8)):
        for label, colour in (("ants", 60), ("bees", 180)):
            place = folder / "photos" / part / label
            place.mkdir(parents=True)
            for k in range(n):
                image = rng.integers(0, 75, (40, 40, 3), dtype=np.uint8) + np.uint8(colour)
                cv2.imwrite(str(place / f"{k}.png"), image)


def test_the_page_has_commands() -> None:
    words = [shlex.split(line)[1] for line in commands()]
    assert words == ["describe-model", "describe-data", "sweep", "sweep", "status", "evaluate"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_command_of_the_page(tmp_path: Path) -> None:
    prepare(tmp_path)
    make_weights = (
        "import sys, torch; sys.path.insert(0, '.'); from my_nets import Net; "
        "torch.save({'state_dict': Net(5).state_dict()}, 'weights.pth')"
    )
    python = os.environ.get("PYTHON", str(ROOT / ".venv" / "bin" / "python"))
    subprocess.run([python, "-c", make_weights], cwd=tmp_path, check=True)
    path = f"{ROOT / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HEADSTART_CACHE": str(tmp_path / "cache")}
    parts = "headstart sweep parts.yaml --engine here --no-report --set seeds=1 --set name=parts"
    for line in (*commands(), parts):
        done = subprocess.run(
            shlex.split(line), cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    page = (tmp_path / "runs/question/report/index.html").read_text(encoding="utf-8")
    assert "my_nets.py:Net" in page
    assert "digest" in page
