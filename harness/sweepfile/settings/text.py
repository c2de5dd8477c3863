"""One line of text, as a person writes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field


def _one_line(text: str) -> str:
    return " ".join(text.split())


Text = Annotated[str, AfterValidator(_one_line), Field(min_length=1)]
