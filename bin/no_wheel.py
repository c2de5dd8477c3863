"""The build backend of this project: it builds nothing, and says what to do instead.

The top-level packages `datasets` and `models` have names that belong to other software too: a wheel
of them would overwrite the files of Hugging Face's `datasets`. So this is an application that runs
from its checkout. Whoever asks for a wheel, an editable install or a source archive gets a line.
"""

MESSAGE = (
    "Headstart is not installed, it runs from its checkout: `make run`, or bin/headstart from any "
    "folder (a wheel would overwrite other software's packages `datasets` and `models`). What it "
    "needs is installed by: uv pip install -r pyproject.toml [--extra NAME]"
)


def _refuse(*_: object, **__: object) -> str:
    raise SystemExit(MESSAGE)


build_wheel = build_sdist = build_editable = _refuse
get_requires_for_build_wheel = get_requires_for_build_sdist = _refuse
get_requires_for_build_editable = prepare_metadata_for_build_wheel = _refuse
prepare_metadata_for_build_editable = _refuse
