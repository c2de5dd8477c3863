"""Zip members, arrays and tables whose headers lie."""

from __future__ import annotations

import io
import resource
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart import packed
from headstart.packed import BROKEN, read_arrays, read_member, read_table


def npz(**members: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_arrays_come_back_as_numpy_reads_them():
    arrays = {
        "a": np.arange(12.0).reshape(3, 4), "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array(["b", "ä"]), "none": np.zeros((0, 3)), "one": np.array(7),
        "zeros": np.zeros((4000, 2000), np.uint8),
    }  # fmt: skip
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)
        ours = read_arrays(file, arrays)
        with np.load(io.BytesIO(file.getvalue())) as theirs:
            for name in arrays:
                assert ours[name].dtype == theirs[name].dtype
                np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10**12,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|V99999999999', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<U999999999', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 1}",
        "__import__('os').system('true')",
        "[" * 200,
        "",
    ],
)
def test_an_array_whose_header_lies_is_refused(header):
    with pytest.raises(BROKEN):
        read_arrays(npz(a=npy(header, bytes(8))), ["a"])


@pytest.mark.parametrize(
    "method",
    [
        zipfile.ZIP_BZIP2,
        pytest.param(zipfile.ZIP_LZMA, marks=pytest.mark.slow),  # it packs slowly
        zipfile.ZIP_DEFLATED,
    ],
)
@pytest.mark.parametrize("is_honest", [True, False])
def test_a_bomb_takes_no_memory(method, is_honest):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, archive.open("bomb", "w") as member:
        for _ in range(150):
            member.write(bytes(1 << 20))
    content = bytearray(file.getvalue())
    if not is_honest:  # a size of 100 bytes in the local header and in the central directory
        for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            start = content.rfind(signature) + at
            content[start : start + 4] = struct.pack("<I", 100)
    before = peak_mb()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, pytest.raises(BROKEN):
        read_member(archive, "bomb")
    assert peak_mb() - before < 60


def test_what_unpacks_to_little_is_read_however_well_it_packs():
    file = io.BytesIO()
    np.savez_compressed(file, blank=np.zeros((6000, 10_000), np.uint8))  # 60 MB
    assert len(file.getvalue()) < 100_000
    assert not read_arrays(file, ["blank"])["blank"].any()


def table_file(table: pa.Table, **options) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file


def test_a_table_comes_back_as_pyarrow_reads_it():
    table = pa.table(
        {"id": ["a" * 16, None, "é"], "step": [1, 2, 3], "loss": [0.5, None, float("nan")]}
    )
    file = table_file(table)
    ours = read_table(file)
    theirs = pq.read_table(file)
    assert ours.schema.equals(theirs.schema, check_metadata=True)
    assert str(ours.to_pydict()) == str(theirs.to_pydict())


def test_many_rows_of_a_long_text_come_back_where_their_file_warrants_it(monkeypatch):
    table = pa.table({"text": ["x" * 1000, "y"] * 500})
    file = table_file(table)
    monkeypatch.setattr(packed, "SMALL_BYTES", 1 << 18)  # 1 MB: half of what the texts may take
    assert read_table(file).equals(table)


def repeated(text: str, n: int) -> pa.Table:
    return pa.table({"x": pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), [text])})


def bomb_of_values() -> io.BytesIO:
    return table_file(pa.table({f"c{k}": np.zeros(900_000) for k in range(90)}))


BOMBS = {
    "a long text, repeated": lambda: table_file(repeated("z" * 1_000_000, 900_000)),
    "a long text without its type": lambda: table_file(
        repeated("z" * 1_000_000, 900_000), store_schema=False
    ),
    "rows": lambda: table_file(pa.table({"x": np.zeros(20_000_000)})),
    "columns": bomb_of_values,
    "another packing": lambda: table_file(pa.table({"x": ["a"]}), compression="zstd"),
    "lists": lambda: table_file(pa.table({"x": [[1, 2], [3]]})),
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_a_table_that_would_fill_the_memory_is_refused(make):
    file = make()
    assert len(file.getvalue()) < 1_000_000
    before = peak_mb()
    with pytest.raises(ValueError, match=r"rows|values|texts|packed|lists"):
        read_table(file)
    assert peak_mb() - before < 300


def test_two_columns_of_one_name_are_refused():
    column = pa.array([1])
    file = table_file(pa.Table.from_arrays([column, column], names=["x", "x"]))
    with pytest.raises(ValueError, match="two columns of one name"):
        read_table(file)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 3, b"x" * 100])
def test_no_table_is_a_value_error(content):
    with pytest.raises(ValueError, match=r"\w"):
        read_table(io.BytesIO(content))


def test_a_table_whose_packing_is_damaged_is_refused():
    """pyarrow's own getter ends the process there (`std::terminate`)."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), buffer)
    whole = buffer.getvalue()
    footer = len(whole) - 8 - struct.unpack("<I", whole[-8:-4])[0]
    at = whole.index(b"\x15\x02\x16", footer) + 1  # snappy, before the number of values
    changed = io.BytesIO(whole[:at] + b"\x3c" + whole[at + 1 :])
    with pytest.raises(ValueError, match="packed in a way that is unknown"):
        read_table(changed)
