"""`python -m harness.export RUN --arm ARM --out FOLDER`: a network for other programs.

In: a run folder, an arm and a seed. Out: a new folder with the weights (safetensors or ONNX; or as
transformers and timm read them), what a program must know to use them, and a model card. The folder
gets its name when all of it is whole.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.evaluate.options import add_code, add_networks
from harness.predict.options import to_seed
from headstart.cli import path_error, run_command, to_path
from headstart.errors import EXIT_DONE, InputError
from headstart.files import write_json

if TYPE_CHECKING:
    from harness.evaluate.models import SavedModel

FORMATS = ("state_dict", "onnx", "huggingface")


def main(argv: Sequence[str]) -> int:
    options = _parse(argv)
    _check_new(options.out)
    from harness.evaluate.models import network_of, read_run  # torch: no mistake above needs it
    from harness.evaluate.networks import networks_of, of_seed
    from harness.export.card import write_card
    from harness.export.huggingface import needs_source, write_huggingface
    from harness.export.onnx import needs_onnx, write_onnx
    from models.weights import save_weights

    if options.format == "onnx":
        needs_onnx()
    sweep = read_run(options.run, options.code)
    saved, said = networks_of(options.run, sweep, [options.arm], options.networks)
    [model] = of_seed(options.run, saved, options.seed)
    if options.format == "huggingface":
        needs_source(model)
    best = ", the best on validation images" if options.seed == "best" else ""
    print(*filter(None, [said, f"{options.run}: '{model.arm}', seed {model.row.seed}{best}"]),
          sep="\n")  # fmt: skip
    with _new_folder(options.out) as work:
        if options.format == "onnx":
            write_onnx(model, work / "model.onnx")
        elif options.format == "huggingface":
            write_huggingface(model, work)
        else:
            save_weights(network_of(model), work / "model.safetensors")
        write_json(work / "network.json", _about(model))
        write_card(options.run, model, options.seed == "best", work / "README.md", options.format)
        names = sorted(path.name for path in work.iterdir())
    print(f"Written: {options.out} ({', '.join(names)})")
    return EXIT_DONE


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m harness.export",
        description="Write one network of a run as files for other programs.",
    )
    parser.add_argument("run", type=to_path, metavar="RUN", help="the folder of a run")
    parser.add_argument("--arm", required=True, metavar="NAME", help="an arm or a pretrain stage")
    parser.add_argument(
        "--seed", type=to_seed, default="best", metavar="best|N",
        help="the network of seed N, or the best on the validation images (default: best)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=to_path, required=True, metavar="FOLDER", help="a folder that is made"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0],
        help="safetensors; ONNX with the normalisation in it; or a folder as transformers or timm "
        "read it, of a network of theirs (default: state_dict)",
    )  # fmt: skip
    add_networks(parser)
    add_code(parser)
    return parser.parse_args(argv)


def _check_new(out: Path) -> None:
    """Raises InputError: something is there, or a folder cannot be made there."""
    try:
        if os.path.lexists(out):
            raise InputError(f"--out {out}: is there already; give the name of a new folder")
        if not out.absolute().parent.is_dir():
            raise InputError(f"--out {out}: there is no folder {out.absolute().parent}")
    except OSError as err:
        raise path_error(err, f"--out {out}: cannot be made: {err.strerror}") from err


class _new_folder:
    """A working folder beside `out`, which gets that name when nothing went wrong."""

    def __init__(self, out: Path):
        self.out = out

    def __enter__(self) -> Path:
        try:
            self.work = Path(tempfile.mkdtemp(prefix=".export-", dir=self.out.absolute().parent))
        except OSError as err:
            raise path_error(err, f"--out {self.out}: cannot be made: {err.strerror}") from err
        return self.work

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                os.chmod(self.work, 0o755)
                os.rename(self.work, self.out)
        except OSError as err:
            raise path_error(err, f"--out {self.out}: cannot be made: {err.strerror}") from err
        finally:
            shutil.rmtree(self.work, ignore_errors=True)


def _about(model: SavedModel) -> dict[str, object]:
    """What a program must know to use the weights."""
    from harness.evaluate.report import prepare

    choice, train = model.condition.model, model.condition.train
    return {
        "network": choice.name,
        "options": choice.options.model_dump(mode="json"),
        "class_names": list(model.class_names),
        "image_size": list(model.image_size),
        "channels": model.channels,
        "mean": list(model.info.mean),
        "std": list(model.info.std),
        "pictures": prepare(model, None).words(),
        "kept_size": list(model.kept_size),
        "crop_fraction": train.crop_fraction,
        "evaluate_mirrored": train.evaluate_mirrored,
        "trial_id": model.id,
        **({"target": dict(model.row.target_scale or {})} if model.row.target else {}),
    }


if __name__ == "__main__":
    run_command(main)
