"""What the rules `seeds: {until: …}` hold: simulated sweeps that decide their own number of seeds.

    python -m benchmarks.sequential [--quick] [--seed N]

First table, `until: verdict` at its looks: share of false verdicts (of the wrong sign where there
is a difference), of right ones, coverage of the final interval, mean seeds, and these over the
fixed number of seeds that has 80 % power at 5 % where the SD is known to be 1. Second table, false
equivalence at the margin. Third table, `until: half_width` from `at_least` to 60 seeds, the width
set so that a known spread would need the number in the first column: coverage, verdicts at the
stop that are false, mean seeds. One comparison in each sweep; the steps are those of
`decide_verdict` and `decide`, for many sweeps that have one number of seeds together.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy import special

from analysis.statistics.pairs.looks import HOPELESS, chance_of_verdict, widening
from analysis.statistics.pairs.power import seeds_to_detect
from analysis.statistics.pairs.sequential import Until, next_seeds
from headstart.settings import AT_MOST, LOOKS

NEEDED = (10, 20, 30)
AT_LEAST = (2, 5, 8)
EFFECTS = (0.0, 0.5, 0.7, 1.0, 1.5, 2.0)
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
DIFFERENCES: dict[str, Draw] = {  # of mean 0 and standard deviation 1
    "normal": lambda rng, shape: rng.normal(size=shape),
    "of two gamma 2": lambda rng, shape: (rng.gamma(2, size=shape) - rng.gamma(2, size=shape)) / 2,
    "t₃": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
    "skewed (gamma 2)": lambda rng, shape: (rng.gamma(2, size=shape) - 2) / np.sqrt(2),
    "lognormal 0.5": lambda rng, shape: (
        (rng.lognormal(0, 0.5, shape) - np.exp(1 / 8)) / np.sqrt(np.exp(1 / 2) - np.exp(1 / 4))
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 sweeps a row instead of 4,000")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    n_sweeps = 200 if given.quick else 4_000
    print(f"{n_sweeps:,} sweeps a row, one comparison.\n")
    print(
        "| true difference, in SDs | differences | false | right | covered | mean seeds | ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, draw in DIFFERENCES.items():
        for effect in EFFECTS:
            cells = until_verdict(draw, effect, None, n_sweeps, rng)
            false, right, covered, seeds, _ = cells
            fixed = seeds_to_detect(effect, 1.0) if effect else np.nan
            row = f"{false:.3f} | {right:.3f} | {covered:.3f} | {seeds:.1f} | {seeds / fixed:.2f}"
            print(f"| {effect} | {name} | {row} |", flush=True)
    print("\n| margin, in SDs | differences | `equivalent` at that true difference |")
    print("|---|---|---|")
    for name, draw in DIFFERENCES.items():
        for margin in (0.4, 0.8):
            share = until_verdict(draw, margin, margin, n_sweeps, rng)[4]
            print(f"| {margin} | {name} | {share:.3f} |", flush=True)
    print("\n| needed | at least | differences | covered | false verdicts | mean seeds |")
    print("|---|---|---|---|---|---|")
    for needed in NEEDED:
        for at_least in AT_LEAST:
            for name, draw in DIFFERENCES.items():
                covered, false, seeds = until_narrow(draw, needed, at_least, n_sweeps, rng)
                cells = f"{covered:.3f} | {false:.3f} | {seeds:.1f}"
                print(f"| {needed} | {at_least} | {name} | {cells} |", flush=True)


def until_verdict(
    draw: Draw, effect: float, margin: float | None, n_sweeps: int, rng: np.random.Generator
) -> tuple[float, float, float, float, float]:
    """Shares of false and right verdicts, coverage, mean seeds, share of `equivalent`."""
    values = draw(rng, (n_sweeps, LOOKS[-1])) + effect
    going = np.arange(n_sweeps)
    verdict, at = np.zeros(n_sweeps), np.full(n_sweeps, LOOKS[-1])
    equal, covered = np.zeros(n_sweeps, dtype=bool), np.zeros(n_sweeps, dtype=bool)
    for n in LOOKS:
        mean, error = _moments(values[going, :n])
        half = special.stdtrit(n - 1, 0.975) * widening(n, LOOKS) * error
        one_sided = special.stdtrit(n - 1, 0.95) * widening(n, LOOKS, sides=1) * error
        sign = np.where(np.abs(mean) > half, np.sign(mean), 0.0)
        inside = np.abs(mean) + one_sided < margin if margin else np.zeros(len(mean), dtype=bool)
        chance = [
            chance_of_verdict(m, e * np.sqrt(n), n, LOOKS, margin=margin or np.nan)
            for m, e in zip(mean.tolist(), error.tolist(), strict=True)
        ]
        ends = (sign != 0) | inside | (np.array(chance) < HOPELESS) | (n == LOOKS[-1])
        over = going[ends]
        verdict[over], at[over], equal[over] = sign[ends], n, inside[ends]
        covered[over] = np.abs(mean - effect)[ends] <= half[ends]
        going = going[~ends]
    false = verdict != 0 if effect == 0 else verdict < 0
    right = verdict > 0 if effect else verdict == 0
    shares = (false, right, covered, at, equal)
    return tuple(float(share.mean()) for share in shares)  # type: ignore[return-value]


def until_narrow(
    draw: Draw, needed: int, at_least: int, n_sweeps: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Coverage of the final interval, share of false verdicts, mean number of seeds."""
    until = Until("test_accuracy", 1.96 / np.sqrt(needed), at_least, AT_MOST)
    values = draw(rng, (n_sweeps, until.at_most))
    n = np.full(n_sweeps, at_least)
    held = np.zeros(n_sweeps, dtype=bool)
    for size in range(at_least, until.at_most + 1):
        here = np.flatnonzero(n == size)
        if not len(here):
            continue
        mean, error = _moments(values[here, :size])
        half = until.widening * special.stdtrit(size - 1, 0.975) * error
        held[here] = np.abs(mean) <= half
        for k, width in zip(here.tolist(), half.tolist(), strict=True):
            if width > until.half_width:
                n[k] = next_seeds(size, size, width, until.half_width, until)
    return float(held.mean()), float((~held).mean()), float(n.mean())


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of each row."""
    return values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])


if __name__ == "__main__":
    main()
