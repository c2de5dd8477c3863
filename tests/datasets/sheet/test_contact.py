"""The contact sheet: every label can be drawn, those of doubtful digits too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datasets.sheet.contact import contact_sheet
from datasets.sheet.paper.ink import Ink
from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.marks import Mark
from datasets.sheet.strokes.noted import OTHER_SIZE, Noted


@pytest.mark.parametrize("label", ["7", "α", "×", "水", "🙂"])
def test_a_label_of_any_character_is_drawn_and_a_doubt_adds_a_question_mark(label: str) -> None:
    photo = np.full((120, 200, 3), 255, np.uint8)
    mark = Mark(60, 60, np.ones((40, 30), bool))
    sure = Reading(0, replace(Ink.none(), scale=1.0), ((mark,),), (label,))
    doubtful = replace(sure, doubts=(Noted(mark, OTHER_SIZE),))
    sheets = [contact_sheet(photo, reading) for reading in (sure, doubtful)]
    written = [(sheet[20:55, 320:] < 255).any(axis=2).sum() for sheet in sheets]
    assert 0 < written[0] < written[1]
