"""`README.md` of the code that is handed in: how it runs, what each file is, what is equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TEXT = """# Assignment 4: the code
{stand_ins}
```
pip install -r ../requirements.txt
python main.py
```

The second command evaluates the networks in `weights/` on the test images of this hand-in and on
{pretraining}, fine-tunes {tuned} again from the images in
`Training Set` and `Validation Set`, and prints the table of `Assignment 4 Results.xlsx` beside what
it found just now. {mnist}

| file | what it is |
| --- | --- |
| `main.py` | the command: loads, evaluates, fine-tunes, prints |
| `network.py` | the networks |
| `layers.py` | dropout and first layers as the run had them, and the seeds of random draws |
| `training.py` | fine-tuning and evaluation |
| `augmentation.py` | random changes of training images |
| `pictures.py` | reads images |
| `settings.json` | what the run's search chose (rates, epochs, augmentation …); results |
| `weights/` | the weights {kept} |
{own}
The images are JPEG files of 28×28 gray pixels, numbered in the order in which they were drawn for
seed {seed}. The run trained on what these files hold, so predictions are those of the workbook. The
networks that are fine-tuned again have the same settings, batches, masks and random changes; their
weights may differ in the last digits, since PyTorch computes some layers in other ways here.

Sources: PyTorch and torchvision (networks, optimizers, MNIST), OpenCV (JPEG), the papers that are
named in the files.
"""
STAND_INS = """
**Made with stand-in data: {}. The numbers hold for these alone.**
"""
MNIST = (
    "MNIST is downloaded by torchvision into `Code/mnist`; with `--mnist FOLDER` its files are "
    "read from a folder instead."
)


def readme(settings: Mapping[str, Any], own_files: Sequence[str]) -> str:
    """The text, of the content of settings.json and the user's own files."""
    tuned = [each["title"].split(",")[0] for each in settings["evaluations"]
             if "fine_tuning" in each]  # fmt: skip
    stand_ins = STAND_INS.format("; ".join(settings["stand_ins"])) if settings["stand_ins"] else ""
    is_mnist = settings["pretraining_test"] == "MNIST"
    selects = {each.get("fine_tuning", {}).get("select") for each in settings["evaluations"]}
    return TEXT.format(
        stand_ins=stand_ins,
        pretraining="MNIST's test images" if is_mnist
        else f"the images of `{settings['pretraining_test']}`, which stood in for MNIST's",
        tuned=f"{len(tuned)} of them",
        mnist=MNIST if is_mnist else "",
        own="".join(f"| `{name}` | the network's own code |\n" for name in own_files),
        seed=settings["seed"],
        kept="after the last step" if "last" in selects else "that validation images chose",
    )  # fmt: skip
