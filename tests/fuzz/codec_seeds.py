"""Derives fuzz seeds of the codec from schemas/examples. Run it when examples are added.
   codec_seeds.py EXAMPLES CORPUS"""
import json, pathlib, sys


def write(corpus, target, name, data):
    folder = pathlib.Path(corpus, target)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def main(examples, corpus):
    for path in sorted(pathlib.Path(examples).glob("job.v1/*.json")):
        if path.name.endswith(".expect.json"):
            continue
        value = json.dumps(json.loads(path.read_text()), separators=(",", ":"), ensure_ascii=False).encode()
        write(corpus, "job", path.stem, b"\0" + value)
    event = b'{"specversion":"1.0","id":"e1","source":"s","type":"t","data":' + value + b"}"
    write(corpus, "job", "structured", b"\2" + event)
    write(corpus, "job", "all_later", b"\0" + json.dumps({
        "job_id": "j", "code": "1", "not_before": "2026-01-31T09:30:00Z", "secrets": [{"name": "a", "env": "B"}],
        "commands": [{"run": "ls", "cwd": "/", "env": {"A": "b"}, "user": "u", "timeout_ms": 1}],
        "agent": {"prompt": "p", "repo": {"url": "u", "ref": "r"}, "push": {"mode": "branch"}},
        "session": {"id": "s", "keep_ms": 1}, "stream": True, "cache": {"mode": "read"}, "batch_id": "b",
        "validation": {"secrets": "warn"}, "network": {"allow": ["a"]}, "retry": {"max_attempts": 1}}).encode())
    write(corpus, "envelope", "binary", b"ce_id\te1\nce_source\ts\nce_type\tt\nce_time\t2026-01-31T09:30:00Z\n"
                                        b"traceparent\t00-ab-cd-01\n\n{}")
    write(corpus, "envelope", "structured", b"content-type\tapplication/cloudevents+json\n\n" + event)
    write(corpus, "envelope", "base64", b"content-type\tapplication/cloudevents+json\n\n"
                                        b'{"id":"e","data_base64":"e30="}')
    write(corpus, "record", "two", b"record1 2 2\n5 2\n7 3\nce_ide1ce_typeabc{}")
    write(corpus, "record", "none", b"record1 0 0\n")
    for path in sorted(pathlib.Path(examples).glob("config.v1/*.json")):
        write(corpus, "config", path.stem, path.read_bytes())
    for i, text in enumerate(["limits.global=3", "kafka.properties.a.b=c", "templates.x.template_id=t",
                              "limits.tenants.a=1", "topics.jobs=[\"a\"]", "log.components={\"a\":\"info\"}"]):
        write(corpus, "config", f"set{i}", b"=" + text.encode())


main(*sys.argv[1:])
