"""k8s/base as kustomize builds it: against Kubernetes' own schemas, and against what the worker does."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml
from places import ROOT

BASE = ROOT / "k8s/base"
KUSTOMIZE_VERSION = "v5.0.3"  # the newest that Debian 12's Go builds
KUBERNETES_VERSION = "1.31"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "e2b-worker"
MARGIN_S = 80  # from the end of the drain to the end of the process


def kustomize_program() -> pathlib.Path:
    program = CACHE / f"kustomize-{KUSTOMIZE_VERSION}" / "kustomize"
    if not program.exists():
        assert shutil.which("go"), "kustomize is built by Go: deploy/install test"
        subprocess.run(["go", "install", f"sigs.k8s.io/kustomize/kustomize/v5@{KUSTOMIZE_VERSION}"], check=True, timeout=900,
                       env={**os.environ, "GOBIN": str(program.parent), "GOFLAGS": "", "CGO_ENABLED": "0"}, cwd="/")
    return program


@pytest.fixture(scope="module")
def built() -> list[dict]:
    text = subprocess.run([kustomize_program(), "build", BASE], check=True, capture_output=True, timeout=60).stdout
    return list(yaml.safe_load_all(text))


@pytest.fixture(scope="module")
def of_kind(built):
    def find(kind: str) -> dict:
        found = [document for document in built if document["kind"] == kind]
        assert len(found) == 1, kind
        return found[0]
    return find


@pytest.fixture(scope="module")
def pod(of_kind):
    return of_kind("Deployment")["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def worker(pod):
    assert len(pod["containers"]) == 1
    return pod["containers"][0]


@pytest.fixture(scope="module")
def config(of_kind):
    return json.loads(of_kind("ConfigMap")["data"]["config.json"])


@pytest.mark.timeout(1000)
def test_every_document_fits_the_schemas_of_kubernetes(built):
    kinds = {document["kind"] for document in built}
    assert kinds == {"ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service", "ServiceAccount"}
    for document in built:
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)


def test_the_validator_notices_a_misspelt_field(of_kind):
    wrong = json.loads(json.dumps(of_kind("Deployment")))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSION, strict=True)


def test_the_grace_period_outlasts_the_drain(pod, config):
    assert pod["terminationGracePeriodSeconds"] * 1000 >= config["worker"]["drain_ms"] + MARGIN_S * 1000


def test_probes_ask_what_the_worker_answers(worker):
    answered = set(re.findall(r'strcmp\(path, "(/\w+)"\)', (ROOT / "src/worker/health.c").read_text()))
    ports = {port["name"]: port["containerPort"] for port in worker["ports"]}
    paths = {}
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        request = worker[probe]["httpGet"]
        assert request["path"] in answered and request["port"] in ports, probe
        paths[probe] = request["path"]
    assert paths == {"livenessProbe": "/healthz", "readinessProbe": "/readyz", "startupProbe": "/healthz"}


def test_ports_agree(worker, config, of_kind):
    assert config["http"]["listen"] == f"0.0.0.0:{worker['ports'][0]['containerPort']}"
    assert [port["targetPort"] for port in of_kind("Service")["spec"]["ports"]] == [worker["ports"][0]["name"]]


def test_a_worker_would_take_the_configuration(worker, of_kind, tmp_path, check_config):
    """With what the Deployment puts into the environment, and nothing else: each ${NAME} must be there."""
    path = tmp_path / "config.json"
    path.write_text(of_kind("ConfigMap")["data"]["config.json"])
    values = {"REDIS_URL": "rediss://redis.example:6379/0", "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9093"}
    said = check_config(path, **{entry["name"]: values.get(entry["name"], "x") for entry in worker["env"]})
    assert "mode=production" in said and "kafka.example:9093" in said


def test_the_configuration_is_mounted_where_the_worker_looks(worker, pod, of_kind):
    option, path = worker["args"]
    mount = worker["volumeMounts"][0]
    assert option == "--config" and path == mount["mountPath"] + "/config.json" and mount["readOnly"]
    volume = next(volume for volume in pod["volumes"] if volume["name"] == mount["name"])
    assert volume["configMap"]["name"] == of_kind("ConfigMap")["metadata"]["name"] != "e2b-worker"  # the hash is there


def test_it_runs_without_privileges(pod, worker):
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert worker["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                         "capabilities": {"drop": ["ALL"]}}
    assert pod["automountServiceAccountToken"] is False
    image_user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert [int(number) for number in image_user.groups()] == [pod["securityContext"]["runAsUser"],
                                                               pod["securityContext"]["runAsGroup"]]


def test_resources_leave_room_for_the_jobs(worker, config):
    units = {"Mi": 2 ** 20, "Gi": 2 ** 30}
    limit = worker["resources"]["limits"]["memory"]
    assert int(limit[:-2]) * units[limit[-2:]] >= 2 * config["worker"]["max_bytes"]
    assert set(worker["resources"]["requests"]) == {"cpu", "memory"}


def test_secrets_are_references_that_the_page_explains(worker):
    page = (ROOT / "k8s/README.md").read_text()
    for entry in worker["env"]:
        assert "value" not in entry, f"{entry['name']} is written into the manifest"
        reference = entry["valueFrom"].get("secretKeyRef")
        if reference:
            assert reference["name"] == "e2b-worker" and f"--from-file={reference['key']}" in page


def test_selectors_find_the_workers(of_kind):
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    for selector in (of_kind("Deployment")["spec"]["selector"]["matchLabels"], of_kind("Service")["spec"]["selector"],
                     of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()


def test_the_autoscaler_follows_a_metric_that_exists(of_kind):
    spec = of_kind("HorizontalPodAutoscaler")["spec"]
    names = {metric["pods"]["metric"]["name"] for metric in spec["metrics"]}
    assert names == {"e2b_worker_backlog"}
    assert re.search(r'number\(out, "e2b_worker_backlog", "gauge"', (ROOT / "src/worker/metrics.c").read_text())
    assert spec["scaleTargetRef"]["name"] == of_kind("Deployment")["metadata"]["name"]


def test_an_update_takes_no_worker_before_its_replacement_is_ready(of_kind):
    spec = of_kind("Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in spec, "the autoscaler's number would be set back by every apply"
