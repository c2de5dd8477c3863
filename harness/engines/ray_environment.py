"""Settings that keep Ray quiet; it reads them from the environment when it is imported.

In: the environment. Out: the same with what the user has not set. Ray's dashboards, usage reports,
log files of trials and progress tables stay off; the run folder has the records, and `progress.py`
shows them. It stands alone because it runs before anything imports ray.
"""

from __future__ import annotations

import os

SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # HEADSTART_DATA and others may be relative paths
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
