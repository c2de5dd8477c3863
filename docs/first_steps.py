"""Writes `first-steps.md`: runs every command of that page and keeps what it prints (`make docs`).

In: the ants and bees of PyTorch's tutorial and SqueezeNet's ImageNet weights, both below
HEADSTART_DATA, as a person's own folder of photographs. Out: the page and its figure. It stands
apart from `build.py` because it trains for some minutes; without the data the page stays as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "first-steps.md"
FIGURE = ROOT / "docs" / "images" / "first-steps.png"
SWEEP = """\
name: photos
question: Does a network that has seen ImageNet tell my ants from my bees better than one from scratch?
model: {name: squeezenet1_0, image_size: 96}
data: {name: folder, path: photos}
train: {optimizer: adam, learning_rate: 3.0e-4, batch_size: 16, epochs: 10}
arms:
  scratch: {}
  last_layer: {initialize: imagenet, fine_tune: last_layer}
seeds: 5
compare: [{treatment: last_layer, control: scratch}]
measure: {targets: [0.70, 0.80], equivalence: 0.02}
"""
TEXT = """\
# First steps: from a folder of photographs to an answer

This page takes you from a folder of your own photographs to an answer with intervals, in about ten minutes on a laptop. `make docs` has run every command here and written down what it printed.

## 1. Set up

```
make run
```

in the checkout sets up all that is needed and runs the main job once. Then let your shell find the commands, from any folder:

```
export PATH="$PATH:$PWD/bin"
```

## 2. Look at your photographs

Put the photographs of each class into a folder of its own. Here they are 193 ants and 204 bees:

```
$ ls photos
{ls}
$ headstart describe-data photos
{describe}
```

`describe-photos/montage.png` shows some of each class. Look at it: wrong folders and broken pictures show there.

## 3. Ask a question

A sweep file is one question. This one compares two ways to begin, `photos.yaml` (`headstart init photos` writes a longer one [for any data](data.md#a-first-sweep-file)):

```yaml
{sweep}```

An **arm** is one condition. `scratch` starts from random weights and trains all layers. `last_layer` starts from ImageNet's weights and trains the last layer alone. Both train five times, with five **seeds**; at one seed they get the same split of your photographs. Photographs are divided into 70 % for training, 15 % for validation and 15 % for the test, because the file names no other split. Every key is in [the reference](reference/sweep-file.md).

## 4. See what will happen, then let it happen

```
$ headstart sweep photos.yaml --dry-run
{dry_run}
$ headstart sweep photos.yaml
{answer}
```

The answer says what holds, and what does not. Where it says that something is not shown, the seeds are too few to tell. Raise `seeds` and run the same command again: only the new ones run.

## 5. Read the report

Open `runs/photos/report/index.html`. This is its figure of the learning curves:

![Validation accuracy and loss of both arms over the training steps]({figure})

`report.pdf` and `results.xlsx` beside it hold the same for a reader on paper and for a spreadsheet. [The run folder](reference/run-folder.md) lists everything else.

```
$ headstart status runs/photos
{status}
```

## 6. Go on

- Photographs that the networks have never seen, in folders of the same classes: `headstart evaluate runs/photos --on more-photos`.
- More arms: `last_2: {{initialize: imagenet, fine_tune: last_2}}`; a better learning rate for each arm: [search](search.md).
- Digits on paper instead of photographs in folders: [sheets](sheets.md).
- Something does not work: [troubleshooting](troubleshooting.md).
"""


def make_photographs(data: Path, folder: Path) -> None:
    """The tutorial's set as a person would have it: a folder of photographs for each class."""
    with zipfile.ZipFile(data / "ants_bees" / "ants_bees.zip") as archive:
        for name in archive.namelist():
            path = Path(name)
            if path.suffix in (".jpg", ".jpeg"):
                target = folder / path.parent.name / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))


def run(folder: Path, command: str) -> str:
    """What a command prints to its user's standard output.

    Raises:
        CalledProcessError: the command fails; the page would show an error.
    """
    environment = {**os.environ, "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        command.split(), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip("\n")


def write_page(data: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photographs(data, folder / "photos")
        (folder / "photos.yaml").write_text(SWEEP, encoding="utf-8")
        text = TEXT.format(
            sweep=SWEEP,
            figure="images/first-steps.png",
            ls=run(folder, "ls photos"),
            describe=run(folder, "headstart describe-data photos"),
            dry_run=run(folder, "headstart sweep photos.yaml --dry-run"),
            answer=run(folder, "headstart sweep photos.yaml"),
            status=run(folder, "headstart status runs/photos"),
        )
        shutil.copyfile(folder / "runs/photos/report/figures/learning_curves.png", FIGURE)
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    data = Path(os.environ.get("HEADSTART_DATA", "data"))
    if (data / "ants_bees" / "ants_bees.zip").is_file() and (data / "weights").is_dir():
        write_page(data)
    else:
        print(f"docs/first-steps.md stays as it is: {data} has no ants_bees/ and no weights/")


if __name__ == "__main__":
    main()
