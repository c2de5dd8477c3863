"""Builds the stand-in for the CUDA runtime from `source/`, once for each torch and its sources.

In: the installed torch, a CUDA build; g++ and nm; the headers of nvidia-cuda-runtime,
nvidia-cuda-crt and nvidia-cudnn. Out: a folder with libfakecard.so and libcuda.so.1, below the
system's temporary folder, which later runs and other checkouts use again. It stands alone because
it knows compilers and symbols, and tests need to know neither.

What torch's libraries ask for and `source/` does not have becomes a stub that counts itself
(`fake_stub`), so the lists follow torch, whichever version it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path

SOURCE = Path(__file__).parent / "source"
RUNTIME = (
    "ledger",
    "counters",
    "devices",
    "memory",
    "streams",
    "kernels",
    "blas",
    "dnn",
    "workspaces",
)
OF_RUNTIME = re.compile(r"(__)?cuda[A-Z]|cublas|cudnn")
OF_DRIVER = re.compile(r"cu[A-Z]")


class CannotBuild(Exception):
    """Why there is no stand-in on this machine."""


@cache
def build() -> Path:
    """The folder of the two libraries, built where it is not there yet.

    Raises:
        CannotBuild: a program, a header or a CUDA build of torch is missing.
    """
    for program in ("g++", "nm"):
        if shutil.which(program) is None:
            raise CannotBuild(f"needs {program} (apt-get install g++ binutils)")
    site, version = _cuda_version()
    shelf = _shelf()
    target = shelf / _key(site, version)
    with (shelf / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes at once: the second one finds it built
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=shelf) as folder:
                made = Path(folder) / "libraries"
                _compile(made, site, version)
                made.rename(target)
    return target


def _cuda_version() -> tuple[Path, str]:
    """The folder that torch lies in, and its CUDA version, such as 13.2; it is not imported."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        raise CannotBuild("needs torch")
    folder = Path(spec.origin).parent
    cuda = re.search(r"^cuda\b.*= '([\d.]+)'", (folder / "version.py").read_text(), re.MULTILINE)
    if cuda is None or not (folder / "lib/libtorch_cuda.so").exists():
        raise CannotBuild("needs a torch that is built for CUDA")
    return folder.parent, cuda[1]


def _shelf() -> Path:
    """A folder of this user's alone: what lies there is loaded into processes."""
    shelf = Path(tempfile.gettempdir()) / f"headstart-fake-card-{os.getuid()}"
    shelf.mkdir(mode=0o700, exist_ok=True)
    state = shelf.lstat()
    if state.st_uid != os.getuid() or state.st_mode & 0o077 or shelf.is_symlink():
        raise CannotBuild(f"{shelf} is not this user's alone: remove it")
    return shelf


def _key(site: Path, version: str) -> str:
    content = hashlib.blake2b(digest_size=12)
    for path in (Path(__file__), *sorted(SOURCE.iterdir())):
        content.update(path.read_bytes())
    for library in _libraries(site):
        state = library.stat()
        content.update(f"{library} {state.st_size} {state.st_mtime_ns}".encode())
    return f"cuda{version}-{content.hexdigest()}"


def _libraries(site: Path) -> list[Path]:
    """The libraries whose calls must find an answer."""
    return [*sorted((site / "torch/lib").glob("lib*.so")), *sorted(site.glob("torchvision/*.so"))]


def _compile(folder: Path, site: Path, version: str) -> None:
    folder.mkdir()
    include = [f"-I{path}" for path in _headers(site)]
    major, minor = version.split(".")[:2]
    flags = ["-O1", "-fPIC", "-std=c++17", f"-DCARD_CUDA_VERSION={major}0{minor}0"]
    names = (*RUNTIME, "driver")
    _run_all(
        [
            "g++",
            *flags,
            *include,
            "-c",
            str(SOURCE / f"{name}.cpp"),
            "-o",
            str(folder / f"{name}.o"),
        ]
        for name in names
    )
    wanted = _symbols(_libraries(site), "--dynamic", "--undefined-only")
    runtime = [folder / f"{name}.o" for name in RUNTIME]
    stubs = _stubs(folder / "stubs", wanted, OF_RUNTIME, runtime, "return fake_stub(__func__);")
    _link(folder / "libfakecard.so", [*runtime, stubs])
    driver = [folder / "driver.o"]
    stubs = _stubs(folder / "driver_stubs", wanted, OF_DRIVER, driver, "return 0;")
    _link(folder / "libcuda.so.1", [*driver, stubs])
    for path in folder.iterdir():
        if path.suffix in (".o", ".cpp"):
            path.unlink()


def _headers(site: Path) -> list[Path]:
    """The folders of headers, in whichever of the layouts that NVIDIA's packages have had."""
    folders = sorted(site.glob("nvidia/*/include"))
    for name, package in (
        ("driver_types.h", "nvidia-cuda-runtime"),
        ("crt/host_defines.h", "nvidia-cuda-crt"),
        ("cudnn.h", "nvidia-cudnn"),
    ):
        if not any((folder / name).exists() for folder in folders):
            raise CannotBuild(f"needs {name} of the package {package}")
    return folders


def _symbols(paths: Iterable[Path], *options: str) -> set[str]:
    """Names without versions, such as cudaMalloc for cudaMalloc@libcudart.so.13."""
    lines = _run(["nm", "--format=posix", *options, *map(str, paths)]).splitlines()
    return {line.split()[0].split("@")[0] for line in lines if line and not line.endswith(":")}


def _stubs(
    stem: Path, wanted: set[str], kind: re.Pattern[str], objects: list[Path], body: str
) -> Path:
    defined = _symbols(objects, "--defined-only")
    missing = sorted(name for name in wanted - defined if kind.match(name))
    source = stem.with_suffix(".cpp")
    functions = "".join(f"int {name}(...) {{ {body} }}\n" for name in missing)
    source.write_text(f'extern "C" {{\nint fake_stub(const char* name);\n{functions}}}\n')
    _run(["g++", "-O1", "-fPIC", "-c", str(source), "-o", str(stem.with_suffix(".o"))])
    return stem.with_suffix(".o")


def _link(library: Path, objects: list[Path]) -> None:
    soname = f"-Wl,-soname,{library.name}"
    _run(["g++", "-shared", soname, "-o", str(library), *map(str, objects)])


def _run_all(commands: Iterable[list[str]]) -> None:
    """Side by side: a compiler keeps one processor busy."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_run, commands))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")  # a fault of ours: never a skip
    return done.stdout
