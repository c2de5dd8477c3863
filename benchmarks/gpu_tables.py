"""The first minutes on a card as tables of Markdown, for docs/gpu.md, with the goals beside them.

In: results by part and measurement, as in minutes.json. Out: one text. It stands alone since it is
a pure function of the results: `python benchmarks/gpu_tables.py minutes.json` prints it again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# On one H100; set before anything was measured.
GOALS: dict[tuple[str, str, str], float] = {
    ("packs", "lenet5 solo 1 float32", "trials_h"): 600,
    ("packs", "lenet5 graph 1 float32", "trials_h"): 1_500,
    ("packs", "lenet5 fused graph 256 float32", "trials_h"): 15_000,
    ("packs", "lenet5 heads graph 256 float32", "trials_h"): 100_000,
    ("solo", "resnet18 32²: float32", "images_s"): 60_000,
    ("solo", "resnet18 32²: bf16", "images_s"): 150_000,
    ("solo", "resnet50 224²: bf16", "images_s"): 2_000,
    ("solo", "vit_b_16 224²: bf16", "images_s"): 1_200,
}


def tables(results: Mapping[str, Mapping[str, Any]], ended: Mapping[str, str]) -> str:
    """A table for each part, the goals last."""
    texts = [f"## {part}\n\n{_table(content)}" for part, content in results.items()]
    failed = [f"- {part}: {end}" for part, end in ended.items() if end != "ok"]
    if failed:
        texts.append("## Parts that failed\n\n" + "\n".join(failed))
    texts.append("## Goals\n\n" + _goals(results))
    return "\n\n".join(texts) + "\n"


def _table(content: Mapping[str, Any]) -> str:
    columns: list[str] = []
    for value in content.values():
        columns += [key for key in _cells(value) if key not in columns]
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, value in content.items():
        cells = _cells(value)
        lines.append(f"| {name} | " + " | ".join(_text(cells.get(c, "")) for c in columns) + " |")
    return "\n".join(lines)


def _cells(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {"value": value}


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    if isinstance(value, dict):
        return "; ".join(f"{key} {_text(item)}" for key, item in value.items())
    return str(value).replace("|", "/").replace("\n", " ")


def _goals(results: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| | goal | measured |", "|---|---:|---:|"]
    for (part, name, column), goal in GOALS.items():
        measured = _cells(results.get(part, {}).get(name)).get(column)
        unit = {"trials_h": "trials an hour", "images_s": "images a second"}[column]
        shown = "not measured" if measured is None else _text(measured)
        lines.append(f"| {name}, {unit} | {goal:,.0f} | {shown} |")
    return "\n".join(lines)


if __name__ == "__main__":
    saved = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(tables(saved["results"], saved["ended"]), end="")
