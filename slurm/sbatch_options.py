"""What `--sbatch KEY=VALUE` may say: sbatch's own long options, and those that are not the user's.

A list of our own, because the machine that checks a profile need not have SLURM, and because sbatch
itself answers a wrong option without naming the right one. From the manual of SLURM 24.11.
"""

from __future__ import annotations

from headstart.errors import did_you_mean

_FREE = """
acctg-freq batch bb bbf begin cluster-constraint comment constraint contiguous core-spec
cores-per-socket cpu-freq cpus-per-gpu deadline delay-boot distribution exclude exclusive
export export-file extra extra-node-info get-user-env gpu-bind gpu-freq gres gres-flags hint hold
licenses mail-type mail-user mcs-label mem-bind mem-per-cpu mem-per-gpu mincpus network nice
nodefile nodelist oversubscribe power prefer priority profile propagate reboot reservation
resv-ports segment sockets-per-node spread-job switches thread-spec threads-per-core time-min tmp
tres-bind use-min-nodes wait-all-nodes wckey
"""
FREE_OPTIONS = frozenset(_FREE.split())

# Options that would break what the batch script does, or that have a setting of their own.
OWN_OPTIONS = {
    "account": "is the setting `account`",
    "array": "is made from the setting `shards`",
    "chdir": "is the folder in which the command was typed",
    "clusters": "is not supported: submit on the cluster that is to run the job",
    "container": "is the setting `container`",
    "cpus-per-task": "is the setting `cpus_per_node`",
    "dependency": "is how the jobs of `mode: array` wait for each other",
    "error": "goes into the log of the run folder",
    "gpus": "is `gpus_per_node` times `nodes`",
    "gpus-per-node": "is the setting `gpus_per_node`",
    "job-name": "is the sweep's name",
    "kill-on-invalid-dep": "is set where jobs depend on each other",
    "mem": "is the setting `memory`",
    "no-kill": "is set: a node that dies must not end the job",
    "no-requeue": "is the setting `requeue: false`",
    "nodes": "is the setting `nodes`",
    "ntasks": "is one for each node",
    "ntasks-per-node": "is one: trials are spread by the harness",
    "open-mode": "is append: a requeued job goes on in its log",
    "output": "goes into the log of the run folder",
    "parsable": "is how the job id is read",
    "partition": "is the setting `partition`",
    "qos": "is the setting `qos`",
    "requeue": "is the setting `requeue`",
    "signal": "is made from the setting `lead_s`",
    "test-only": "is done before every submission",
    "time": "is the setting `time`",
    "wait": "is not supported: `python -m slurm.status` shows what becomes of a job",
    "wrap": "is not supported: the batch script is rendered",
}


def mistake_in(option: str) -> str | None:
    """What is wrong with an option's name, or None where it may be given."""
    if option in FREE_OPTIONS:
        return None
    if option in OWN_OPTIONS:
        return f"{option!r} is not for sbatch's options: it {OWN_OPTIONS[option]}"
    near = did_you_mean(option, (*FREE_OPTIONS, *OWN_OPTIONS))
    return f"{option!r} is no option of sbatch{near}; allowed: {', '.join(sorted(FREE_OPTIONS))}"
