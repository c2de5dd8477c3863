"""`python -m slurm.rayjob SWEEP.yaml …`: a RayJob for KubeRay from the settings of a SLURM job.

In: a sweep, a job's nodes, GPUs, processors and memory, an image, and a volume that all pods share.
Out: one text of YAML: the sweep file as a ConfigMap (which may have 1 MiB, a sweep file 1 MB), and
a RayJob (`ray.io/v1`) that starts a Ray cluster of its own, runs the sweep on it and ends it.
Nothing is submitted: `kubectl apply -f -` reads the text. It stands here beside what submits to
SLURM because both are made of the same settings, and what a job waits for first (`slurm.prepare`)
is the same.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any

import yaml

from harness.sweepfile.reader import load_sweep
from harness.sweepfile.references import folders_of_code
from harness.sweepfile.settings import Settled
from headstart.cli import run_command, to_path
from headstart.digests import digest_of
from headstart.errors import EXIT_DONE, InputError
from slurm.render import check_line, workers_of_gpus
from slurm.settings import JobSettings, load_settings
from slurm.submit import check_fit

SWEEP_FOLDER = "/headstart-sweep"  # of the ConfigMap, in the head's pod
CACHE = "/headstart-cache"  # of each pod: decoded images
LONGEST_NAME = 40  # KubeRay appends to the name; it refuses RayJobs with over 47 characters
_MEMORY = re.compile(r"([1-9][0-9]*)([KMGT]?)", re.ASCII)
FLAGS: Mapping[str, tuple[type, str]] = {
    "nodes": (int, "worker pods"),
    "cpus-per-node": (int, "processors of each worker pod"),
    "gpus-per-node": (int, "GPUs of each worker pod"),
    "memory": (str, "memory of each worker pod, as in 64G"),
}


@dataclass(frozen=True)
class Pods:
    """What a manifest says beside the job's settings: `code` and `mount` are paths in the pods."""

    image: str
    claim: str
    mount: PurePosixPath
    code: PurePosixPath
    namespace: str | None
    backoff_limit: int
    grace_s: int
    head_memory: str


def main(argv: Sequence[str]) -> int:
    for word in argv:
        check_line(word)
    given = _parse(argv)
    flags = {name.replace("-", "_"): getattr(given, name.replace("-", "_")) for name in FLAGS}
    settings = load_settings(None, flags, [])
    sweep = load_sweep(given.sweep, given.profile, given.assignments)
    if folders_of_code(sweep):
        raise InputError(
            f"{given.sweep}: it uses code of your own, which the pods would not find beside the "
            "sweep file; put the code into the image and join the cluster with --address "
            "(docs/ray-clusters.md)"
        )
    resources = sweep.resources.settled(settings.n_gpus)
    settings = _with_processors(settings, resources)
    check_fit(settings, resources)
    pods = _pods(given)
    run = given.out or pods.mount / "runs" / sweep.name
    if ".." in run.parts or not run.is_relative_to(pods.mount):
        raise InputError(f"--out {run}: a folder below --mount {pods.mount} is expected")
    words = [f"{SWEEP_FOLDER}/sweep.yaml", "--out", str(run), "--address", "auto"]
    words += ["--slots", str(_slots(settings, resources)), *_given_on(given)]
    text = given.sweep.read_text("utf-8")
    documents = manifest(sweep.name, text, settings, pods, run, words)
    print(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True), end="")
    if not settings.n_gpus and sweep.resources.gpus == "auto":
        print("no --gpus-per-node is given: the trials will train on CPUs", file=sys.stderr)
    return EXIT_DONE


def manifest(
    sweep_name: str,
    sweep_text: str,
    settings: JobSettings,
    pods: Pods,
    run: PurePosixPath,
    words: Sequence[str],
) -> list[dict[str, Any]]:
    """The ConfigMap and the RayJob.

    Args:
        sweep_name, sweep_text: of the sweep file.
        settings: nodes, and what each has.
        run: the run folder, in the pods.
        words: arguments of `harness.sweep`.
    """
    name = object_name(sweep_name)
    metadata = {"name": name} | ({"namespace": pods.namespace} if pods.namespace else {})
    python = ["python", "-m"]
    wait = shlex.join([*python, "slurm.prepare", str(run)])
    sweep = shlex.join([*python, "harness.sweep", *words])
    head = _pod(pods, {"cpu": "2", "memory": pods.head_memory}, "ray-head", name)
    worker = _pod(pods, _resources(settings), "ray-worker")
    cluster = {
        "rayVersion": version("ray"),
        "authOptions": {"mode": "token"},
        "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": head},
        "workerGroupSpecs": [
            {
                "groupName": "workers",
                "replicas": settings.nodes,
                "minReplicas": settings.nodes,
                "maxReplicas": settings.nodes,
                "rayStartParams": {},
                "template": worker,
            }
        ],
    }
    spec = {
        "entrypoint": f"{wait} && exec {sweep}",
        "submissionMode": "HTTPMode",  # no pod more that may be evicted; the text goes as it is
        "backoffLimit": pods.backoff_limit,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 60,
        "rayClusterSpec": cluster,
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
         "data": {"sweep.yaml": sweep_text}},
        {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": dict(metadata), "spec": spec},
    ]  # fmt: skip


def object_name(text: str) -> str:
    """A name that Kubernetes takes (RFC 1035), the text itself where it is one."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if name == text and len(name) <= LONGEST_NAME and name[:1].isalpha():
        return name
    end = digest_of(text.encode())[:8]
    return f"hs-{name[: LONGEST_NAME - 12]}-{end}".replace("--", "-")


def _pod(
    pods: Pods, resources: Mapping[str, str], container: str, sweep: str | None = None
) -> dict[str, Any]:
    """A pod's template; with `sweep`, the ConfigMap of that name lies in it."""
    volumes: list[dict[str, Any]] = [
        {"name": "shared", "persistentVolumeClaim": {"claimName": pods.claim}},
        {"name": "cache", "emptyDir": {}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "shared", "mountPath": str(pods.mount)},
        {"name": "cache", "mountPath": CACHE},
    ]
    if sweep:
        volumes.append({"name": "sweep", "configMap": {"name": sweep}})
        mounts.append({"name": "sweep", "mountPath": SWEEP_FOLDER, "readOnly": True})
    environment = {
        "PYTHONPATH": str(pods.code),
        "HEADSTART_CACHE": CACHE,
        "HEADSTART_DOWNLOADS": str(pods.mount / "downloads"),
    }
    each: dict[str, Any] = {
        "name": container,
        "image": pods.image,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "volumeMounts": mounts,
    }
    spec = {"terminationGracePeriodSeconds": pods.grace_s, "containers": [each], "volumes": volumes}
    return {"spec": spec}


def _resources(settings: JobSettings) -> dict[str, str]:
    asked = {"cpu": str(settings.cpus_per_node)}
    if settings.memory:
        asked["memory"] = quantity(settings.memory)
    if settings.n_gpus:
        asked["nvidia.com/gpu"] = str(settings.n_gpus)
    return asked


def quantity(memory: str) -> str:
    """Memory as SLURM writes it (64G are 64 · 1024³ bytes, without a letter megabytes) as
    Kubernetes does.

    Raises:
        InputError: it is none.
    """
    match = _MEMORY.fullmatch(memory)
    if match is None:
        raise InputError(f"--memory {memory}: a number with K, M, G or T is expected, as in 64G")
    return f"{match[1]}{match[2] or 'M'}i"


def _with_processors(settings: JobSettings, asked: Settled) -> JobSettings:
    """Those that a pod's trials need, where nobody says how many."""
    if settings.cpus_per_node is not None:
        return settings
    n_workers = workers_of_gpus(settings.n_gpus, asked.gpus) if asked.gpus else 1
    needed = asked.cpus * max(n_workers, -(-asked.workers // settings.nodes))
    return settings.model_copy(update={"cpus_per_node": needed})


def _slots(settings: JobSettings, asked: Settled) -> int:
    """Trials at once on all pods."""
    assert settings.cpus_per_node is not None
    by_cpus = settings.cpus_per_node // asked.cpus
    by_gpus = workers_of_gpus(settings.n_gpus, asked.gpus) if asked.gpus else by_cpus
    return max(1, settings.nodes * min(by_cpus, by_gpus) // asked.workers)


def _given_on(given: argparse.Namespace) -> list[str]:
    """What the sweep itself is told; its paths are those in the pods."""
    words = ["--state-every", f"{given.state_every:g}"]
    words += ["--profile", given.profile] if given.profile else []
    for assignment in given.assignments:
        words += ["--set", assignment]
    words += ["--data", str(given.data)] if given.data else []
    return words


def _pods(given: argparse.Namespace) -> Pods:
    for name in ("mount", "code", "data", "out"):
        path = getattr(given, name)
        if path is not None and not path.is_absolute():
            raise InputError(f"--{name} {path}: a whole path in the pods is expected")
    if given.backoff_limit < 0 or given.grace < 1 or not 0 <= given.state_every < 1e9:
        raise InputError(
            "--backoff-limit and --state-every take numbers from 0, --grace takes seconds from 1"
        )
    for name in ("claim", "namespace"):
        text = getattr(given, name)
        if text is not None and not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", text):
            raise InputError(f"--{name} {text}: small letters, digits and - are expected")
    if not re.fullmatch(r"[!-~]+", given.image):
        raise InputError(f"--image {given.image!r}: the name of an image is expected")
    return Pods(
        given.image, given.claim, given.mount, given.code, given.namespace, given.backoff_limit,
        given.grace, quantity(given.head_memory),
    )  # fmt: skip


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m slurm.rayjob",
        description="Print a RayJob of KubeRay (and the sweep file as a ConfigMap) that runs a "
        "sweep on a Ray cluster of its own; kubectl apply -f - submits it.",
        epilog="docs/ray-clusters.md has what the cluster must have. Exit status: 0 printed, 2 "
        "wrong input.",
    )
    parser.add_argument("sweep", type=to_path, metavar="SWEEP.yaml")
    for name, (kind, text) in FLAGS.items():
        parser.add_argument(f"--{name}", type=kind, metavar=name.upper()[0], help=text)
    pods = parser.add_argument_group("of the pods")
    path = PurePosixPath
    pods.add_argument("--image", required=True, help="has Python, Ray, and all requirements")
    pods.add_argument(
        "--claim",
        required=True,
        metavar="PVC",
        help="a claim with access mode ReadWriteMany, for run folder and data",
    )
    pods.add_argument(
        "--mount",
        type=path,
        default=path("/shared"),
        metavar="DIR",
        help="where the claim lies in each pod (default: /shared)",
    )
    pods.add_argument(
        "--code",
        type=path,
        default=path("/opt/headstart"),
        metavar="DIR",
        help="where this checkout lies in the image (default: /opt/headstart)",
    )
    pods.add_argument("--namespace", metavar="NAME")
    pods.add_argument("--head-memory", default="8G", metavar="M", help="of the head (default: 8G)")
    pods.add_argument(
        "--backoff-limit",
        type=int,
        default=20,
        metavar="N",
        help="how often a new cluster goes on after the head is lost (default: 20)",
    )
    pods.add_argument(
        "--grace",
        type=int,
        default=60,
        metavar="S",
        help="seconds between SIGTERM and the end of a pod (default: 60)",
    )
    sweep = parser.add_argument_group("given on to the sweep; paths are those in the pods")
    sweep.add_argument("--profile", metavar="NAME", help="one of the sweep file's profiles")
    sweep.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="assignments"
    )
    sweep.add_argument("--out", type=path, metavar="DIR", help="default: MOUNT/runs/NAME")
    sweep.add_argument("--data", type=path, metavar="DIR")
    sweep.add_argument(
        "--state-every",
        type=float,
        default=2.0,
        metavar="S",
        help="save running trials this often (default: 2)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_command(main)
