"""A set is decoded block by block into a file: as in memory, and after a kill from where it was."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from data_files import image_bytes

from datasets.cache import pages as pages_module
from datasets.catalog import load_dataset

READ = """
import sys
from datasets.cache import pages
from datasets.catalog import load_dataset
from datasets.images import blocks
pages._MOST_ROWS = 4
decode = blocks.decode
def decode_or_wait(content, where, **kwargs):
    if f"/{sys.argv[2]}/" in str(where):
        import time
        time.sleep(600)
    return decode(content, where, **kwargs)
blocks.decode = decode_or_wait
data = sys.argv[1]
print(load_dataset("folder", {"path": "photos"}, data_dir=data, cache_dir=data + "/c").fingerprint)
"""


@pytest.fixture
def photos(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (60, 20, 16, 3), dtype=np.uint8)
    for number, image in enumerate(noise):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(image))
    return tmp_path


def start(photos, waits_at="no class"):
    """A command that waits where it comes to this class, of which the second half is."""
    command = [sys.executable, "-c", READ, str(photos), waits_at]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_blocks(photos, n=3):
    """Until some blocks are in the journal of what is decoded now."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        for journal in photos.glob("c/decoded/.*.partial/journal.jsonl"):
            if journal.read_bytes().count(b"\n") > n:
                return journal
        time.sleep(0.01)
    raise AssertionError("nothing was decoded")


def in_memory(photos):
    dataset = load_dataset("folder", {"path": "photos"}, data_dir=photos, cache_dir=photos / "own")
    return dataset.fingerprint


@pytest.mark.slow
def test_a_killed_command_s_blocks_are_kept_but_for_damaged_ones(photos):
    """Slow: a command is killed and run again."""
    with start(photos, "b") as killed:
        journal = wait_for_blocks(photos)
        killed.send_signal(signal.SIGKILL)
    n_lines = journal.read_bytes().count(b"\n")
    with open(journal, "ab") as file:
        file.write(b'{"names": 4, "go')  # torn
    with open(journal.with_name("images.npy"), "r+b") as file:
        file.seek(128 + (4 * (n_lines - 2) + 1) * 20 * 16 * 3)  # in the last block
        file.write(bytes(500))
    with start(photos) as again:
        output, said = again.communicate()
    assert output.strip() == in_memory(photos)
    assert f"folder: {4 * (n_lines - 2)} of 60 images were decoded before" in said
    assert not [*photos.glob("c/decoded/.*.partial")]


@pytest.mark.slow
def test_two_commands_decode_once_and_the_second_takes_over_when_the_first_dies(photos):
    """Slow: several commands in processes of their own."""
    with start(photos, "b") as first:
        wait_for_blocks(photos, 1)
        with start(photos) as second:
            assert "another command decodes 'folder' (process" in second.stderr.readline()
            first.kill()
            output, said = second.communicate()
    assert output.strip() == in_memory(photos)
    assert "images were decoded before; it goes on there" in said


def test_gray_images_keep_one_channel_whatever_their_files_have(tmp_path, monkeypatch):
    monkeypatch.setattr(pages_module, "_MOST_ROWS", 2)
    gray = np.random.default_rng(0).integers(0, 255, (6, 9, 8), dtype=np.uint8)
    for number, image in enumerate(gray):
        path = tmp_path / "photos" / "ab"[number // 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(np.repeat(image[..., None], 3, axis=2)))
    read = lambda **asked: load_dataset(  # noqa: E731
        "folder", {"path": "photos"}, data_dir=tmp_path, cache_dir=tmp_path / "cache", **asked
    )
    np.testing.assert_array_equal(read().images[:, 0], gray)
    assert read().images.shape == (6, 1, 9, 8)
    assert read(channels=3).images.shape == (6, 3, 9, 8)
    colour = np.zeros((9, 8, 3), np.uint8)
    colour[0, 0, 2] = 1
    (tmp_path / "photos" / "b" / "6.png").write_bytes(image_bytes(colour))
    assert read().images.shape == (7, 3, 9, 8)


def test_damaged_files_leave_no_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(pages_module, "_MOST_ROWS", 2)
    noise = np.random.default_rng(0).integers(0, 255, (9, 8, 8, 3), dtype=np.uint8)
    for number, image in enumerate(noise):
        path = tmp_path / "photos" / "ab"[number // 5] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image" if number in (2, 3, 7) else image_bytes(image))
    dataset = load_dataset(
        "folder",
        {"path": "photos", "on_damaged": "skip"},
        data_dir=tmp_path,
        cache_dir=tmp_path / "cache",
    )
    kept = [0, 1, 4, 5, 6, 8]
    np.testing.assert_array_equal(dataset.images[:], noise[kept].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(dataset.labels, np.array(kept) // 5)
    assert dataset.notes[0].startswith("3 of 9 image files were damaged and skipped:")
