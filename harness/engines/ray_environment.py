"""Settings that keep Ray quiet and private; it reads them when it is imported.

In: the environment. Out: the same with what the user has not set. Ray's dashboards, usage reports,
log files of trials and progress tables stay off; the run folder has the records, and `progress.py`
shows them. A Ray of this machine listens on the loopback interface alone, and answers those alone
who have its token. It stands alone because it runs before anything imports ray.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # HEADSTART_DATA and others may be relative paths
    "RAY_AUTH_MODE": "token",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",  # a head that died is given up; Ray: 60 s
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # Tune never takes those processes: 1 s of start
    "RAY_worker_niceness": "0",  # Ray's own default puts trials behind everything else
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's own checkpoints: nobody goes on from them
    "TUNE_RESULT_BUFFER_LENGTH": "0",
}


def set_ray_environment() -> None:
    """Set what the user has not set otherwise."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def keep_to_this_machine(folder: Path) -> None:
    """Let a Ray that is started now be reached from this machine alone, and by this user alone.

    Ray opens its ports on the loopback interface alone where it is told that no clusters are
    wanted; the variable is named after the systems on which Ray does so by itself.

    Args:
        folder: of this command, closed to other users; the token lies in it.
    """
    token = folder / "token"
    with open(
        os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(secrets.token_hex(32))
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN"):  # they would take precedence
        os.environ.pop(name, None)
    os.environ |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "TMPDIR": str(folder),
    }
