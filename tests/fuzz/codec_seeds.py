"""Derives fuzz seeds of the codec from schemas/examples, and writes the small ones of other decoders. Run it when examples are added.
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
    order = b'{"action":"cancel","job_id":"j-1","tenant_id":"acme"}'
    write(corpus, "control", "bare", b"\n" + order)
    write(corpus, "control", "structured", b"content-type\tapplication/cloudevents+json\n\n" + b'{"id":"e","data":' + order + b"}")
    write(corpus, "hop", "copy", b"ce_id\te1\nx-hop\t2\nx-not-before\t1700000600000\nx-wake-at\t1700000060000\n"
                                 b"x-first-seen\t1700000000000\nx-job-id\tj1\nx-origin\t0123abcd\nx-topic\te2b.jobs.x\n\n{}")
    for path in sorted(pathlib.Path(examples).glob("*.*.v1/*.json")):
        value = json.dumps(json.loads(path.read_text()), separators=(",", ":"), ensure_ascii=False)
        head = f"ce_id\te1\nce_source\ts\nce_type\te2b-worker.{path.parent.name}\n\n"
        write(corpus, "event_view", path.stem, (head + value).encode())
        for i, bundle in enumerate(json.loads(value).get("results", [])):
            write(corpus, "bundle", f"{path.stem}{i}", json.dumps(bundle, separators=(",", ":")).encode())
    write(corpus, "dlq", "cause", b"ce_id\te1\nmine\t1\n__connect.errors.topic\te2b.jobs.x\n__connect.errors.partition\t3\n"
                                  b"__connect.errors.offset\t17\n__connect.errors.exception.class.name\tINVALID_JOB\n\n{}")
    write(corpus, "dlq", "copy", b"x-hop\t2\nx-topic\te2b.jobs.x\n__connect.errors.topic\te2b.retry.1m\n\n" + order)
    write(corpus, "record", "two", b"record1 2 2\n5 2\n7 3\nce_ide1ce_typeabc{}")
    write(corpus, "record", "none", b"record1 0 0\n")
    mark = b"6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
    write(corpus, "process", "exit", b"words" + mark + b" exit 0 5 4096 0 1\n")
    write(corpus, "process", "signal", mark + b" signal 9 -1 -1 1 0\n")
    write(corpus, "process", "results", b'r{"text":"4","is_main_result":true}\n!exception 10 3 5\nValueErrorbadlines!dropped 2\n')
    for name, wire in {
            "granted": b"*6\r\n$7\r\ngranted\r\n$2\r\np1\r\n:3\r\n:1\r\n:250\r\n:1\r\n",
            "denied": b"*5\r\n$6\r\ndenied\r\n$1\r\ng\r\n:1\r\n:1\r\n:250\r\n",
            "sealed": b"*4\r\n$6\r\nsealed\r\n$5\r\na\0b\0c\r\n$1\r\np\r\n$0\r\n\r\n",
            "adopt": b"*8\r\n$5\r\nadopt\r\n$1\r\np\r\n$1\r\ns\r\n$1\r\nm\r\n$1\r\nl\r\n:1\r\n:0\r\n:9\r\n",
            "pulse": b"*5\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*2\r\n$2\r\np1\r\n$2\r\np2\r\n*0\r\n",
            "snapshot": b"*1\r\n*7\r\n$1\r\ng\r\n:1\r\n:5\r\n:0\r\n:0\r\n:9\r\n:600\r\n",
            "condition": b"*4\r\n$27\r\nthe ledger is being rebuilt\r\n:2\r\n:1200\r\n:1\r\n",
            "word": b"$10\r\nsuperseded\r\n", "info": b"$13\r\nrole:master\r\n\r\n"}.items():
        write(corpus, "replies", name, wire)
    for path in sorted(pathlib.Path(examples).glob("config.v1/*.json")):
        write(corpus, "config", path.stem, path.read_bytes())
    for i, text in enumerate(["limits.global=3", "kafka.properties.a.b=c", "templates.x.template_id=t",
                              "limits.tenants.a=1", "topics.jobs=[\"a\"]", "log.components={\"a\":\"info\"}"]):
        write(corpus, "config", f"set{i}", b"=" + text.encode())


main(*sys.argv[1:])
