"""`python -m analysis DIR [DIR …]`: the command line of the analysis; imports late, answers fast."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from headstart.cli import run_command


def main(argv: Sequence[str]) -> int | None:
    """Write the report of the run folders in `argv`."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    parser.add_argument("dirs", nargs="+", metavar="DIR", help="run folder")
    parser.add_argument("--out", metavar="DIR", help="where the report goes (DIR/report)")
    args = parser.parse_args(argv)
    from analysis.report import write_report

    result = write_report(args.dirs, args.out)
    print(result.answer)
    print(result.index)
    return None


if __name__ == "__main__":
    run_command(main)
