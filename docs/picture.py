"""The picture of a report's first screen, for README and docs/report.md.

    python docs/picture.py RUN [PICTURE]

In: a run folder with a report, as `HEADSTART_DATA=… make run` leaves it in runs/part2. Out:
docs/images/page.png, 1280 × 900 pixels, light, with as many colours as a small file has. It stands
alone because it needs a browser (playwright and its Chromium), which nothing else of docs does.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

PICTURE = Path(__file__).resolve().parent / "images" / "page.png"
WIDTH, HEIGHT = 1280, 900
COLOURS = 96


def main(run: str, picture: str = str(PICTURE)) -> None:
    from PIL import Image
    from playwright.sync_api import sync_playwright

    page_file = Path(run).resolve() / "report" / "index.html"
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(page_file.as_uri())
        page.wait_for_selector("main figure svg, header figure svg, .vega-embed svg")
        content = page.screenshot()
        browser.close()
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)
    print(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
