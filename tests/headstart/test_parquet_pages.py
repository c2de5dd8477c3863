"""The announcements of Parquet files, held against pyarrow's own reading of whole files."""

from __future__ import annotations

import io
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart.parquet_pages import n_unpacked, read_footer

TABLE = pa.table({
    "a": list(range(5_000)), "b": [f"text {k}" for k in range(5_000)],
    "c": pa.array([{"d": [k, k], "e": b"x" * k} for k in range(5_000)]),
})  # fmt: skip


def written(**options) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(TABLE, file, row_group_size=2_000, data_page_size=1_000, **options)
    return file


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
@pytest.mark.parametrize("page", ["1.0", "2.0"])
def test_rows_and_unpacked_bytes_are_those_of_pyarrow(compression, page):
    """pyarrow's sizes count the pages' headers too, which take some dozen bytes each."""
    file = written(compression=compression, data_page_version=page)
    footer = read_footer(file)
    metadata = pq.ParquetFile(file).metadata
    assert footer.n_rows == 5_000
    places = [(group, k) for group in range(3) for k in range(metadata.num_columns)]
    for chunk, (group, k) in zip(footer.chunks, places, strict=True):
        said = metadata.row_group(group).column(k)
        assert (chunk.column, chunk.n_values) == (said.path_in_schema, said.num_values)
        n_bytes = n_unpacked(file, [chunk])
        assert 0.5 * said.total_uncompressed_size < n_bytes <= said.total_uncompressed_size


def test_any_damage_is_a_value_error_or_read():
    whole = written().getvalue()
    rng = Random(0)
    n_refused = 0
    for _ in range(300):
        changed = bytearray(whole)
        changed[rng.randrange(len(whole) - 1_500, len(whole))] = rng.randrange(256)
        file = io.BytesIO(bytes(changed))
        try:
            n_unpacked(file, read_footer(file).chunks)
        except ValueError:
            n_refused += 1
    assert n_refused > 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too short"),
        (b"PAR1" + bytes(20), "cut off or is none"),
        (b"PAR1" + b"\xff\xff\xff\x7fPAR1", "announces 2,147,483,647 bytes about itself"),
        (b"PAR1" + b"\x1c" * 99 + b"\x63\0\0\0PAR1", "lie too deep"),
        (b"PAR1" + b"\x19\xfc\xff\xff\xff\xff\x07\0" + b"\x08\0\0\0PAR1", "longer than what"),
        (b"PAR1" + b"\x16" + b"\xff" * 11 + b"\0" + b"\x0d\0\0\0PAR1", "a number is too long"),
    ],
)
def test_a_footer_that_lies_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        read_footer(io.BytesIO(content))
