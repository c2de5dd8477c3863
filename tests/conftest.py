"""What all tests share: real data, a cache of their own, one thread, and what CI may not skip."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Generator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_card import CannotBuild, Card, build
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tests run side by side
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup no process would get it

# The same examples on every machine, none kept on the disk, and none that fails for a slow machine.
# HYPOTHESIS_PROFILE=long draws other ones, and many more where a test does not say how many.
any_speed = settings(database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("headstart", any_speed, derandomize=True)
settings.register_profile("long", any_speed, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "headstart"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it skip where there is none."""
    folder = os.environ.get("HEADSTART_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("HEADSTART_DATA names no folder of real data")
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded data goes to a folder of the session, unless the caller named one (CI keeps it)."""
    if not os.environ.get("HEADSTART_CACHE"):
        os.environ["HEADSTART_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _files_need_not_reach_the_disk() -> Iterator[None]:
    """Nothing here must outlive a power cut; tests of power cuts look at the calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


_ALONE = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium that is installed, in a fresh profile that playwright removes."""
    from playwright.sync_api import expect, sync_playwright

    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    expect.set_options(timeout=60_000)  # a chart may take long where others compute too
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*_ALONE])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose script may fail nowhere and ask for nothing; its errors fail the test."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("requestfailed", lambda request: errors.append(request.url))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.set_default_timeout(60_000)
    yield page
    page.close()
    assert errors == []


@pytest.fixture(scope="session")
def card() -> Card:
    """Runs processes that see GPUs where there is none; built once for all test processes."""
    try:
        return Card(build())
    except CannotBuild as err:
        pytest.skip(f"no stand-in for a GPU: {err}")


@pytest.fixture(scope="session")
def pinned_torch() -> None:
    """For budgets in bytes: PyTorch 2.11 keeps a workspace of cuBLAS among its tensors."""
    pinned = re.search(
        r"^torch==(\S+)$", (Path(__file__).parents[1] / "requirements.txt").read_text("utf-8"), re.M
    )
    assert pinned is not None
    installed = version("torch").split("+")[0]
    if installed != pinned[1]:
        pytest.skip(f"its bytes are those of torch {pinned[1]}, and {installed} is installed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, which is soon full."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a file system cannot be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


TESTS = Path(__file__).parent
# Seconds of the slow tests of a file, where they are far from six for each; their order counts.
SLOW_S = {
    "slurm/test_lab.py": 900,
    "faults/test_kills.py": 220,
    "harness/teams/test_engines.py": 220,
    "harness/engines/test_ray_session.py": 200,
    "harness/test_strangers.py": 160,
    "harness/reference/test_reference.py": 140,
    "faults/test_crash_points.py": 120,
    "faults/test_surroundings.py": 120,
    "harness/engines/test_engines.py": 120,
    "harness/runfolder/test_damage.py": 110,
    "sweeps/test_sweeps_on_cards.py": 110,
    "datasets/sheet/reading/test_read.py": 110,
    "benchmarks/test_gpu_first_minutes.py": 100,
    "harness/watch/test_real.py": 90,
    "faults/test_signals.py": 90,
    "harness/engines/test_on_cards.py": 90,
    "docs/test_own_network.py": 80,
    "datasets/files/test_hostile.py": 80,
    "harness/plan/test_search.py": 80,
    "harness/teams/test_data_parallel.py": 80,
    "sweeps/test_assignment4.py": 80,
    "datasets/test_properties.py": 80,
    "harness/init/test_init.py": 60,
    "faults/test_full_disks.py": 60,
    "faults/test_power_cuts.py": 60,
    "analysis/report/test_agreement.py": 50,
    "models/test_source_build.py": 50,
    "harness/test_notebook.py": 40,
    "analysis/findings/test_damaged_tables.py": 25,
    "harness/test_exit_status.py": 25,
    "models/test_heads.py": 20,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose slow tests take longest first, so that no processor is left alone with one.

    By itself xdist would put the files with most tests first: `--no-loadscope-reorder`.
    """
    n_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    seconds = {path: 6 * n for path, n in n_slow.items()}
    seconds |= {path: s for name, s in SLOW_S.items() if (path := TESTS / name) in n_slow}
    items.sort(key=lambda item: -seconds.get(item.path, 0))


def pytest_collection_finish() -> None:
    """What is loaded stays: else Python looks through two million objects again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skip is a failure: only a missing GPU and missing real data excuse a test there."""
    report = yield
    is_excused = item.get_closest_marker("gpu") or "real_data" in getattr(item, "fixturenames", ())
    is_skip = report.skipped and isinstance(report.longrepr, tuple)  # an expected failure is none
    if os.environ.get("CI") and is_skip and not is_excused:
        report.outcome, report.longrepr = "failed", f"CI may not skip this: {report.longrepr[2]}"
    return report


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m slow`, a file of tests in which that word does not stand is not imported."""
    if config.option.markexpr != "slow" or not collection_path.name.startswith("test_"):
        return None
    is_file = collection_path.suffix == ".py"
    return True if is_file and "slow" not in collection_path.read_text("utf-8") else None
