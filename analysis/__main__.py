"""The command line of the analysis: `report` is implied; imports late, so that --help is instant.

python -m analysis DIR [DIR …] [--out DIR] [--workbook NAME]   write the report
python -m analysis diff OLD NEW [--out DIR]                    what changed between two runs
python -m analysis plan DIR --detect 0.001                     seeds that a difference needs
python -m analysis gate BASE NEW --margin 0.002                may the new version pass?
python -m analysis audit DATA_OR_RUN [--reference RUN]         are the labels right?
python -m analysis publish RUN [RUN …] [--out FILE.zip]        one file to publish
python -m analysis check FILE.zip                              does its report follow?
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from headstart.cli import run_command, to_path
from headstart.errors import InputError
from headstart.output import say_in_terminal, terminal_width


def main(argv: Sequence[str]) -> int | None:
    """Run the command that `argv` names, else the report."""
    commands: dict[str, Callable[[Sequence[str]], int | None]] = {
        "diff": _diff,
        "plan": _plan,
        "gate": _gate,
        "audit": _audit,
        "publish": _publish,
        "check": _check,
    }
    if argv and argv[0] in commands:
        return commands[argv[0]](argv[1:])
    _report(argv)
    return None


def _report(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="Analyse run folders and write index.html, report.pdf, results.xlsx, tables "
        "and figures. Runs of one sweep are merged, different sweeps become tasks. Other commands: "
        "python -m analysis diff OLD NEW; python -m analysis plan DIR --detect 0.001; "
        "python -m analysis gate BASE NEW --margin 0.002; python -m analysis audit DATA_OR_RUN; "
        "python -m analysis publish RUN; python -m analysis check FILE.zip",
    )
    parser.add_argument("dirs", nargs="+", type=to_path, metavar="DIR", help="a run folder")
    parser.add_argument("--out", type=to_path, metavar="DIR", help="for the report (DIR/report)")
    parser.add_argument(
        "--workbook",
        metavar="NAME",
        help="also write the four evaluations of Assignment 4 to NAME (.xlsx) in the report",
    )
    args = parser.parse_args(argv)
    if args.workbook is not None and ("/" in args.workbook or not args.workbook.endswith(".xlsx")):
        raise InputError(
            f"--workbook: {args.workbook!r} is not a file name that ends in .xlsx; it is written "
            "into the report's folder (--out)"
        )
    say_in_terminal("reads the trials and writes the report …")
    from analysis.report.console import console_text
    from analysis.report.report import write_report

    result = write_report(args.dirs, args.out, args.workbook)
    print(console_text(result.glance, terminal_width(sys.stdout)))
    print(f"\nReport: {result.index}")


def _diff(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m analysis diff",
        description="Compare two runs of a sweep arm by arm, paired by seed.",
    )
    parser.add_argument("old", type=to_path, metavar="OLD", help="the run folder to compare with")
    parser.add_argument("new", type=to_path, metavar="NEW", help="the run folder that may differ")
    parser.add_argument("--out", type=to_path, metavar="DIR", help="also write diff.md, diff.csv")
    args = parser.parse_args(argv)
    from analysis.diff import diff_runs, write_diff

    changes = diff_runs(args.old, args.new)
    print(changes.text)
    if args.out:
        print(write_diff(changes, args.out))


def _plan(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m analysis plan",
        description="How many seeds a difference needs, from a run as the pilot.",
    )
    parser.add_argument("folder", type=to_path, metavar="DIR", help="the run that serves as pilot")
    parser.add_argument("--detect", type=float, help="difference to find, as a fraction (0.001)")
    parser.add_argument("--half-width", type=float, help="wanted half-width of the 95 %% interval")
    parser.add_argument("--p-better", type=float, help="wanted P(treatment better), as 0.75")
    parser.add_argument(
        "--metric", default="test_accuracy", help="test_accuracy, steps_to_target …"
    )
    parser.add_argument("--power", type=float, default=0.8, help="chance to find it (0.8)")
    args = parser.parse_args(argv)
    from analysis.planning import plan_seeds

    print(plan_seeds(**vars(args)))


def _gate(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m analysis gate",
        description="Say whether a new version is worse by a margin or more, for continuous "
        "integration. Exit status: 0 not worse, 1 worse, 3 cannot tell (and how many more seeds "
        "may), 2 the input is wrong. A wrong pass and a wrong alarm happen in 5 % at most.",
    )
    parser.add_argument(
        "base", type=to_path, metavar="BASE", help="the run folder of the version that holds"
    )
    parser.add_argument(
        "new", type=to_path, metavar="NEW", help="the run folder of the new version"
    )
    parser.add_argument(
        "--margin", type=float, required=True, help="what counts as worse, as a fraction (0.002)"
    )
    parser.add_argument(
        "--metric", help="test_accuracy (where trials were tested), best_val_accuracy …"
    )
    parser.add_argument(
        "--arm", action="append", default=[], metavar="ARM",
        help="test this arm alone (may be given several times; else every arm that both have)",
    )  # fmt: skip
    args = parser.parse_args(argv)
    from analysis.gate import gate_runs

    gate = gate_runs(args.base, args.new, args.margin, args.metric, args.arm)
    for line in gate.lines:
        print(line)
    return gate.status


def _audit(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m analysis audit",
        description="Say whether labels are right, and if not, what was done to them. Networks "
        "are trained on the labels in doubt, and each image is judged by those that did not see "
        "it; with "
        "--reference, networks answer that were trained on labels that are trusted.",
        epilog="Examples: audit mnist_task3; audit runs/part3; audit mnist_task3 --reference "
        "runs/part2; audit '{name: mnist, corrupt_labels: {kind: uniform, fraction: 0.4}}'",
    )
    parser.add_argument(
        "what", metavar="DATA_OR_RUN",
        help="a data set (its name, a folder of class folders, a .csv or .npz file, an entry as "
        "in a sweep file), or a run folder whose networks learned the labels in doubt",
    )  # fmt: skip
    parser.add_argument("--reference", type=to_path, metavar="RUN", help="a run on trusted labels")
    parser.add_argument("--arm", help="whose networks of that run answer (default: the best)")
    parser.add_argument(
        "--networks", type=int, metavar="N",
        help="how many networks answer; of networks trained for the audit, for each fold",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=int, metavar="N",
        help="judge N images only, drawn by class, where networks are trained for the audit",
    )  # fmt: skip
    parser.add_argument("--data", type=to_path, metavar="DIR", help="where data sets lie")
    parser.add_argument(
        "--open-named", action="store_true",
        help="open what the run's own sweep.yaml names wherever it lies, as of a run you trust",
    )  # fmt: skip
    parser.add_argument(
        "--code", action="append", default=[], metavar="FILE|DIR",
        help="where code of your own lies with which the run was made; none is taken from there",
    )  # fmt: skip
    parser.add_argument("--out", type=to_path, metavar="DIR", help="for text, tables and figures")
    args = parser.parse_args(argv)
    from analysis.audit.answers import answers_for
    from analysis.audit.report import audit_run, check_out

    check_out(args.out)
    where, status = answers_for(
        args.what, args.reference, args.arm, args.networks, args.data, args.open_named,
        code=args.code, images=args.images,
    )  # fmt: skip
    if where is None:
        return status
    for audited in audit_run(where, args.out):
        print(audited.text)
        print(f"\n{audited.folder}")
    return status


def _publish(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m analysis publish",
        description="Write one file to publish: the report, the tables that it follows from, "
        "sweep, environment and command, without paths, machines, users, tokens and weights.",
    )
    parser.add_argument("dirs", nargs="+", type=to_path, metavar="RUN", help="a run folder")
    parser.add_argument("--out", type=to_path, metavar="FILE.zip", help="(RUN.zip beside the run)")
    parser.add_argument(
        "--no-images", action="store_true", help="leave out test images and contact sheets"
    )
    args = parser.parse_args(argv)
    from analysis.publish.publication import publish

    for line in publish(args.dirs, args.out, not args.no_images).lines:
        print(line)


def _check(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m analysis check",
        description="Say whether the report in a published file follows from the tables in it: "
        "they are analysed anew. Exit status: 0 it follows, 1 it does not (what differs is "
        "named), 2 the file is none that `publish` writes.",
    )
    parser.add_argument("file", type=to_path, metavar="FILE.zip", help="what `publish` wrote")
    args = parser.parse_args(argv)
    from analysis.publish.check import check_publication

    checked = check_publication(args.file)
    for line in checked.lines:
        print(line)
    return checked.status


if __name__ == "__main__":
    run_command(main)
