"""One page of a PDF file → pixels; started as a program of its own for each page.

In: on standard input the file; as arguments the resolution in dots an inch, the most pixels, and
the number of the page (from 0), or `only` for a file of one page. Out: on standard output `WIDTH
HEIGHT STRIDE PAGES`, a line end, and rows of RGB samples; or `refused` and why. A PDF is a
stranger's program for a page: PDFium runs it here under limits of memory and time, and where it
breaks down, it takes nothing else with it. It imports nothing of ours, so that it starts quickly.
"""

import sys

MEMORY_BYTES = 4 << 30
SECONDS = 60


def main() -> None:
    """Render the page and write it."""
    _limit()
    import pypdfium2

    dots_per_inch, most_pixels, number = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
    except pypdfium2.PdfiumError as err:
        _refuse(f"cannot be opened as a PDF file: {err}")
    if number == "only" and len(document) != 1:
        _refuse(
            f"has {len(document)} pages; only a PDF file of one page is read as an image: export "
            "each page as an image, or split the file"
        )
    page = 0 if number == "only" else int(number)
    width, height = document.get_page_size(page)  # in points, of which an inch has 72
    scale = min(dots_per_inch / 72, (most_pixels / max(1.0, width * height)) ** 0.5)
    try:
        bitmap = document[page].render(scale=scale, rev_byteorder=True)
    except (pypdfium2.PdfiumError, ValueError, MemoryError) as err:
        _refuse(f"its page cannot be drawn: {err}")
    head = f"{bitmap.width} {bitmap.height} {bitmap.stride} {len(document)}\n"
    sys.stdout.buffer.write(head.encode())
    sys.stdout.buffer.write(bytes(bitmap.buffer))


def _limit() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):  # not on every system
        pass


def _refuse(why: str) -> None:
    sys.stdout.buffer.write(f"refused {why}\n".encode())
    sys.stdout.flush()
    sys.exit(0)


if __name__ == "__main__":
    main()
