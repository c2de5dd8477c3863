"""What is nobody else's business is taken out of texts: passwords, tokens, paths of a machine.

In: a command line, a message, a sweep as it was resolved. Out: the same text, with `***` for what
opens a door and `…/NAME` for where something lies. Records leave out the first, since run folders
are handed on; what a report shows leaves out both, since reports are published. It stands in this
package because the harness writes records and the analysis writes reports.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

HIDDEN = "***"
_IN_ADDRESS = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")  # USER:PASSWORD@
_NAMED = (
    r"(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credentials?)"
)
_VALUE = r"""(?P<value>"[^"]*"|'[^']*'|[^\s&;,'"\])}<>]+)"""
_ASSIGNED = re.compile(  # --hf-token X, api_key=X, "token": "X", ?token=X
    rf"""(?P<name>--[\w.-]{{0,60}}{_NAMED}[\w-]{{0,60}}\s+(?=[^\s-])"""
    rf"""|{_NAMED}[\w-]{{0,60}}["']?\s*[=:]\s*)""" + _VALUE,
    re.IGNORECASE,
)
_SIGNED = re.compile(  # of an address that is valid for a while
    r"(?P<name>[?&](?:sig|signature|key|auth|x-amz-[\w-]+|x-goog-[\w-]+)=)" + _VALUE, re.IGNORECASE
)
_HEADER = re.compile(
    r"""(?P<name>\bauthorization["']?\s*[:=]\s*["']?(?:bearer|basic)\s+)(?P<value>[\w.~+/=-]{4,})""",
    re.IGNORECASE,
)
_BEARER = re.compile(  # without its header: a word alone ("basic pretraining") is no token
    r"(?P<name>\b(?:bearer|basic)\s+)"
    r"(?P<value>(?=[\w.~+/=-]*(?:[\d=]|[\w.~+/=-](?-i:[A-Z])))[\w.~+/=-]{8,})",
    re.IGNORECASE,
)
_KNOWN = re.compile(  # as their makers mark them
    r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|hf_\w{16,}|sk-[\w-]{16,}"
    r"|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}|eyJ[\w-]{4,2000}\.[\w-]{4,4000}\.[\w-]*)"
)
_NO_SECRET = re.compile(r"[\d.,+-]+|true|false|null|none|\*+|\$\w+|\$\{\w+\}", re.IGNORECASE)
_SHORTEST = 6  # a shorter value of the environment stands in too many other words

_FILE = re.compile(r"\bfile://(?=/)")
_PATH = re.compile(
    r"(?<![\w.~/:@*…-])(?:[A-Za-z]:)?"
    r"(?P<path>[/\\]?(?:[/\\][^\s/\\'\"`,;:()<>\[\]{}|]+){2,}|/[\w.-]{3,}(?![\w/.-]))[/\\]?"
)
_HOME = re.compile(r"[/\\](?:home|Users)[/\\][^/\\]+|/root", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """`text` without passwords in addresses, values of tokens and keys, and known tokens.

    Also without the value of any variable of the environment that is called a token, a secret, a
    password or a key.
    """
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and value in text and re.search(_NAMED, name, re.IGNORECASE):
            text = text.replace(value, HIDDEN)
    text = without_passwords(text)
    for pattern in (_HEADER, _BEARER, _ASSIGNED, _SIGNED):
        text = pattern.sub(_hidden, text)
    return _KNOWN.sub(HIDDEN, text)


def without_passwords(text: str) -> str:
    """`text` with `***` for user and password in each address."""
    return _IN_ADDRESS.sub(f"{HIDDEN}@", text)


def without_paths(text: str, n_parts: int = 1) -> str:
    """`text` with `…/NAME` for each absolute path, and the home folder of nobody.

    `n_parts`: how many of a path's last names are left.
    """
    return _PATH.sub(partial(_shortened, n_parts=n_parts), _FILE.sub("", text))


def publishable(content: object) -> object:
    """Mappings, lists and texts of a record as a report may show them, keys included."""
    if isinstance(content, str):
        return without_paths(without_secrets(content))
    if isinstance(content, Mapping):
        return {publishable(key): publishable(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [publishable(item) for item in content]
    return content


def _hidden(match: re.Match[str]) -> str:
    value = match["value"]
    quote = value[0] if value[0] in "'\"" else ""
    is_one = not _NO_SECRET.fullmatch(value.strip("'\""))
    return f"{match['name']}{quote}{HIDDEN}{quote}" if is_one else match[0]


def _shortened(match: re.Match[str], n_parts: int) -> str:
    path = match["path"]
    home = str(Path.home())
    if path == home or _HOME.fullmatch(path):
        return "…"
    names = re.split(r"[/\\]", path)[1:]
    return "/".join(["…", *names[-n_parts:]])
