"""Evaluate the networks of Assignment 4, fine-tune them again, and print the table of the workbook.

    python main.py                  MNIST's test images are downloaded by torchvision
    python main.py --mnist FOLDER   they are read from a folder that holds them already

Folders are found from where this file lies, so that it runs wherever the hand-in was unpacked.
"""

import argparse
import json
from pathlib import Path

import network
import pictures
import torch
import training
from safetensors.torch import load_file

CODE = Path(__file__).resolve().parent
HAND_IN = CODE.parent  # the folder of the sets


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, help="folder of MNIST's files, if they are here")
    mnist = parser.parse_args().mnist
    settings = json.loads((CODE / "settings.json").read_text(encoding="utf-8"))
    torch.set_num_threads(settings["threads"])
    # As in the run: the same numbers each time.
    torch.use_deterministic_algorithms(True, warn_only=True)

    own = {}  # the images that were handed in, as the networks take them
    for part in ("Training Set", "Validation Set", "Test Set"):
        own[part] = pictures.read_folder(HAND_IN / part, settings["classes"])

    rows, remarks = [], []
    for evaluation in settings["evaluations"]:
        trained = load(evaluation)
        if evaluation["images"] == "own":
            test = own["Test Set"]
        else:
            test = pictures.read_pretraining_test(settings, CODE, mnist, remarks)
        row = {"evaluation": evaluation, "n": "-", "now": "-", "again": "-"}
        if test is not None:
            predicted = training.predict(trained, test[0], evaluation)
            row["n"], row["now"] = len(test[1]), percent(predicted, test[1])
        if "fine_tuning" in evaluation:
            again = fine_tune(evaluation, settings, own)
            predicted_again = training.predict(again, test[0], evaluation)
            row["again"] = percent(predicted_again, test[1])
            same = int((predicted_again == predicted).sum())
            remarks.append(
                "%s: fine-tuned again, %d of %d test images are read as by the network that was "
                "handed in; no weight differs by more than %.1e."
                % (evaluation["arm"], same, len(predicted), largest_difference(again, trained))
            )
        rows.append(row)

    if settings["stand_ins"]:
        print("Made with stand-in data: %s." % "; ".join(settings["stand_ins"]))
    print("Test accuracy, seed %s:" % settings["seed"])
    print(
        "%-4s%-58s%12s%12s%12s%12s" % ("", "", "test images", "workbook", "this run", "tuned again")
    )
    for row in rows:
        evaluation = row["evaluation"]
        workbook = "%.2f %%" % (100 * evaluation["accuracy"])
        print(
            "%-4s%-58s%12s%12s%12s%12s"
            % (
                evaluation["number"],
                evaluation["title"],
                row["n"],
                workbook,
                row["now"],
                row["again"],
            )
        )
    for remark in remarks:
        print(remark)


def load(evaluation):
    """The network of an evaluation with the weights that were handed in."""
    model = getattr(network, evaluation["network"])()
    model.load_state_dict(load_file(str(CODE / "weights" / evaluation["weights"])))
    return model.to(memory_format=torch.channels_last) if evaluation["channels_last"] else model


def fine_tune(evaluation, settings, own):
    """The network fine-tuned from the pretrained weights on the training images of the hand-in."""
    start = dict(evaluation, weights=settings["start"])
    model = load(start)
    training.fine_tune(model, evaluation, own["Training Set"], own["Validation Set"])
    return model


def percent(predicted, labels):
    return "%.2f %%" % (100 * float((predicted == labels).double().mean()))


def largest_difference(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values())
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


if __name__ == "__main__":
    main()
