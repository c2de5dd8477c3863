"""A RayJob has fields that KubeRay publishes, holds what was asked for, and quotes all names."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import yaml

from headstart.errors import InputError
from slurm.rayjob import main, object_name, quantity

# Of KubeRay 1.7.0, ray-operator/apis/ray/v1/rayjob_types.go and raycluster_types.go (Apache-2.0):
# each field's name and the type of its JSON.
RAY_JOB = {
    "entrypoint": str, "submissionMode": str, "backoffLimit": int, "activeDeadlineSeconds": int,
    "shutdownAfterJobFinishes": bool, "ttlSecondsAfterFinished": int, "rayClusterSpec": dict,
    "runtimeEnvYAML": str, "jobId": str, "suspend": bool, "metadata": dict,
    "clusterSelector": dict, "submitterPodTemplate": dict, "submitterConfig": dict,
    "managedBy": str, "deletionStrategy": dict, "entrypointNumCpus": float,
    "entrypointNumGpus": float, "entrypointResources": str, "preRunningDeadlineSeconds": int,
}  # fmt: skip
MODES = {"K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"}
RAY_CLUSTER = {
    "rayVersion": str, "authOptions": dict, "headGroupSpec": dict, "workerGroupSpecs": list,
    "enableInTreeAutoscaling": bool, "autoscalerOptions": dict, "suspend": bool,
    "gcsFaultToleranceOptions": dict, "headServiceAnnotations": dict, "networkPolicy": dict,
}  # fmt: skip
HEAD = {"template": dict, "rayStartParams": dict, "headService": dict, "serviceType": str,
        "enableIngress": bool, "resources": dict, "labels": dict}  # fmt: skip
WORKERS = {"groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int,
           "rayStartParams": dict, "template": dict, "numOfHosts": int,
           "idleTimeoutSeconds": int}  # fmt: skip
# Of Kubernetes' core/v1: PodSpec, Container, Volume.
POD = {"terminationGracePeriodSeconds": int, "containers": list, "volumes": list}
CONTAINER = {"name": str, "image": str, "env": list, "resources": dict, "volumeMounts": list}
VOLUME = {"name": str, "persistentVolumeClaim": dict, "emptyDir": dict, "configMap": dict}
LONGEST_NAME = 47  # of a RayJob: controllers/ray/utils/constant.go
LABEL = r"[a-z]([-a-z0-9]*[a-z0-9])?"  # RFC 1035

SWEEP = """\
name: {name}
question: Does it help?
model: {{name: lenet5}}
data: {{name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}}
train: {{epochs: 1}}
arms: {{a: {{}}, b: {{train: {{optimizer: sgd}}}}}}
seeds: 2
"""
HOSTILE = 'it\'s a "run" with $(touch hacked) `id` ; & | % * \\ ümlaut: {x} #'


@pytest.fixture
def printed(tmp_path, capsys):
    """What the command prints for these options: the ConfigMap and the RayJob."""

    def call(*options: str, name: str = "part2"):
        path = tmp_path / "sweep.yaml"
        path.write_text(SWEEP.format(name=name), encoding="utf-8")
        words = [str(path), "--image", "registry.example/hs:1", "--claim", "runs", *options]
        assert main(words) == 0
        return tuple(yaml.safe_load_all(capsys.readouterr().out))

    return call


def check(content: dict, fields: dict) -> None:
    for key, value in content.items():
        assert key in fields, key
        assert type(value) is fields[key], key


def words_of(job: dict) -> tuple[list[str], list[str]]:
    """What waits for the lock, and the sweep's command, as a shell reads them."""
    first, second = job["spec"]["entrypoint"].split(" && exec ")
    return shlex.split(first), shlex.split(second)


def test_all_fields_are_published_ones_of_the_right_type(printed):
    _, job = printed("--nodes", "2", "--gpus-per-node", "4", "--memory", "64G")
    assert set(job) == {"apiVersion", "kind", "metadata", "spec"}
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    check(job["spec"], RAY_JOB)
    assert job["spec"]["submissionMode"] in MODES
    cluster = job["spec"]["rayClusterSpec"]
    check(cluster, RAY_CLUSTER)
    check(cluster["headGroupSpec"], HEAD)
    (workers,) = cluster["workerGroupSpecs"]
    check(workers, WORKERS)
    for group in (cluster["headGroupSpec"], workers):
        assert all(type(value) is str for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        check(pod, POD)
        (container,) = pod["containers"]
        check(container, CONTAINER)
        assert all(type(each["value"]) is str for each in container["env"])
        for volume in pod["volumes"]:
            check(volume, VOLUME)
            assert len(volume) == 2, "a name and one source"
        names = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == names


def test_the_pods_have_what_the_job_asks_for(printed):
    config, job = printed(
        "--nodes", "3", "--gpus-per-node", "4", "--memory", "64G", "--set", "resources.gpus=0.5",
        "--set", "resources.cpus=2", "--grace", "90", "--backoff-limit", "7",
    )  # fmt: skip
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"] == 3
    pod = workers["template"]["spec"]
    asked = {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "4"}  # eight workers, two cores each
    assert pod["containers"][0]["resources"] == {"requests": asked, "limits": asked}
    assert pod["terminationGracePeriodSeconds"] == 90
    assert job["spec"]["backoffLimit"] == 7
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}, "it trains nothing"
    wait, sweep = words_of(job)
    assert wait == ["python", "-m", "slurm.prepare", "/shared/runs/part2"]
    assert sweep[sweep.index("--slots") + 1] == "24"
    assert sweep[:6] == [
        "python", "-m", "harness.sweep", "/headstart-sweep/sweep.yaml", "--out",
        "/shared/runs/part2",
    ]  # fmt: skip
    assert config["data"]["sweep.yaml"] == SWEEP.format(name="part2")
    (mounted,) = (v for v in cluster["headGroupSpec"]["template"]["spec"]["volumes"]
                  if "configMap" in v)  # fmt: skip
    assert mounted["configMap"]["name"] == config["metadata"]["name"] == job["metadata"]["name"]


def test_the_command_is_one_that_the_sweep_reads(printed):
    from harness.options import parse

    _, job = printed("--nodes", "2", "--cpus-per-node", "4", "--state-every", "5")
    _, sweep = words_of(job)
    options = parse(sweep[3:])
    assert (options.address, options.engine, options.slots) == ("auto", "ray", 8)
    assert options.state_every_s == 5


def test_hostile_names_stay_texts(printed):
    config, job = printed("--out", f"/shared/{HOSTILE}", "--set", f"question={json.dumps(HOSTILE)}")
    assert job["metadata"]["name"] == config["metadata"]["name"] == "part2"
    wait, sweep = words_of(job)
    assert wait[-1] == sweep[5] == f"/shared/{HOSTILE}"
    assert f"question={json.dumps(HOSTILE)}" in sweep


@pytest.mark.parametrize(
    "name", ["part2", "Part_2", "2nd", "yes", "a" * 40, "a" * 41, "ümlaut", "---", "x" * 39 + "-"]
)
def test_names_are_those_that_kubernetes_and_kuberay_take(name):
    made = object_name(name)
    assert re.fullmatch(LABEL, made)
    assert len(made) <= LONGEST_NAME
    assert (made == name) == (name in ("part2", "yes", "a" * 40))


def test_names_that_are_cut_stay_apart():
    assert object_name("a" * 50 + "b") != object_name("a" * 50 + "c")
    assert object_name("A") != object_name("a")


@pytest.mark.parametrize(
    ("memory", "expected"), [("64G", "64Gi"), ("500", "500Mi"), ("2T", "2Ti"), ("9K", "9Ki")]
)
def test_memory_is_what_slurm_means_by_it(memory, expected):
    assert quantity(memory) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "/elsewhere/run"), "below --mount /shared is expected"),
        (("--out", "/shared/../etc"), "below --mount /shared is expected"),
        (("--out", "runs/x"), "--out runs/x: a whole path in the pods is expected"),
        (("--memory", "64GB"), "--memory 64GB: a number with K, M, G or T is expected"),
        (("--claim", "My Claim"), "--claim My Claim: small letters"),
        (("--namespace", "a/b"), "--namespace a/b: small letters"),
        (("--image", "a b"), "--image 'a b': the name of an image"),
        (("--backoff-limit", "-1"), "take numbers from 0"),
        (("--grace", "0"), "seconds from 1"),
        (("--set", "resources.gpus=1"), "no trial could start"),
        (("--nodes", "0"), "--nodes"),
        (("--out", "/shared/a\nb"), "line ends and control characters"),
    ],
)
def test_mistakes_are_one_line(printed, options, message):
    with pytest.raises(InputError, match=message):
        printed(*options)


def test_a_sweep_with_code_of_its_own_is_refused(printed, tmp_path):
    (tmp_path / "net.py").write_text("class Net: ...\n", encoding="utf-8")
    with pytest.raises(InputError, match="code of your own"):
        printed("--set", f"model.name={tmp_path / 'net.py'}:Net")
