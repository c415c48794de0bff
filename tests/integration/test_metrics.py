"""/metrics of a worker that has worked: read by Prometheus' own parser, and held against its conventions for names
(https://prometheus.io/docs/practices/naming/, the checks of promtool)."""
from __future__ import annotations

import re
import time
import urllib.request

from prometheus_client.parser import text_string_to_metric_families
from stack import wait_until

BASE_UNITS = ("seconds", "bytes", "usd")
OTHER_UNITS = re.compile(r"_(ms|s|sec|secs|milliseconds|microseconds|nanoseconds|minutes|hours|days|kb|mb|gb|kib|mib|gib|bits|"
                         r"kilobytes|megabytes|percent|nano|nanousd|cents)(_|$)")


def conventions_broken(name: str, kind: str, help_text: str) -> list[str]:
    """What promtool check metrics would say of a family; the parser takes _total off the names of counters."""
    broken = []
    if not help_text.endswith("."):
        broken.append("no sentence says what it is")
    if not re.fullmatch(r"(e2b_worker|process)_[a-z0-9]+(_[a-z0-9]+)*", name):
        broken.append("the name is not ours, not in snake case, or has a colon")
    if OTHER_UNITS.search(name):
        broken.append("the unit is not a base unit")
    if any(unit in name for unit in BASE_UNITS) and not name.endswith(tuple("_" + unit for unit in BASE_UNITS)):
        broken.append("the unit does not stand at the end")
    if re.search(r"_(gauge|counter|histogram|summary)(_|$)", name):
        broken.append("the name has the type in it")
    if kind not in ("gauge", "counter", "histogram") or (kind == "histogram" and not name.endswith("_seconds")):
        broken.append(f"a {kind} has no such name")
    if kind != "counter" and re.search(r"_(total|sum|count|bucket)$", name):
        broken.append("the ending belongs to another type")
    return broken


def typed_as_counters(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) counter$", text, re.M))


def test_metrics_are_what_prometheus_expects(deployment):
    stream = deployment.begin({"general": 1, "quick": 1})
    started = time.time()
    worker = deployment.worker("w1", stats__interval_ms=1000, limits__tenants__acme=1)
    stream.publish("general", {"job_id": "good", "code": "print(1)", "tenant_id": "acme"})
    stream.publish("general", {"job_id": "bad", "code": "1/0"})
    stream.publish("general", {"job_id": "long", "code": "import time; time.sleep(5)", "tenant_id": "acme"})
    stream.collect(["good", "bad"], 60)
    wait_until(lambda: '{limit="tenant:acme"} 1' in worker.get("/metrics")[1], 20, "a place of the tenant's is taken")
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.port()}/metrics", timeout=5) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()

    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "a family stands twice"
    broken = {family.name: conventions_broken(family.name, family.type, family.documentation) for family in families}
    assert {name: faults for name, faults in broken.items() if faults} == {}
    assert all(name.endswith("_total") for name in typed_as_counters(text))
    samples = {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}

    assert samples["e2b_worker_jobs_finished_total", "succeeded"] >= 1
    assert samples["e2b_worker_job_errors_total", "RUNTIME_ERROR"] == 1
    assert samples["e2b_worker_permits_max", "global"] == 19 and samples["e2b_worker_permits_max", "tenant:acme"] == 1
    assert 0 < samples["e2b_worker_cost_usd_total",] < 1
    assert samples["e2b_worker_job_total_seconds_count",] == samples["e2b_worker_job_total_seconds_bucket", "+Inf"] >= 2
    assert {part for name, part in (key for key in samples if key[0] == "e2b_worker_part_ready")} == {
        "e2b", "redis", "kafka_jobs", "kafka_results"}
    assert started - 5 < samples["process_start_time_seconds",] <= time.time()
    assert samples["process_cpu_seconds_total",] > 0 and samples["process_resident_memory_bytes",] > 1 << 20
    assert 3 < samples["process_open_fds",] < samples["process_max_fds",]
    stream.collect(["long"], 60)


def test_the_check_of_conventions_finds_what_is_wrong():
    good = [("e2b_worker_cost_usd", "counter"), ("process_open_fds", "gauge"), ("e2b_worker_job_run_seconds", "histogram"),
            ("e2b_worker_backlog", "gauge")]
    bad = [("e2b_worker_loop_lag_max_milliseconds", "gauge"), ("e2b_worker_seconds_of_run", "gauge"), ("resident_bytes", "gauge"),
           ("e2b_worker_jobs_total", "gauge"), ("e2b_worker_job_counter", "counter"), ("e2b_worker_runs", "histogram"),
           ("e2b_worker_cost_nano_usd", "counter"), ("e2b_worker_jobInFlight", "gauge"), ("e2b_worker_x", "unknown")]
    assert [name for name, kind in good if conventions_broken(name, kind, "What it is.")] == []
    assert [name for name, kind in bad if not conventions_broken(name, kind, "What it is.")] == []
    assert conventions_broken("e2b_worker_backlog", "gauge", "")
