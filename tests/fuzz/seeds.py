"""Derives fuzz seeds from the recordings: the bodies, without HTTP. Run it when recordings are added.
   seeds.py TRANSCRIPTS CORPUS"""
import pathlib, sys

LARGEST = 4000  # a fuzzer works with small inputs


def body_of(raw):
    head, _, rest = raw.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return rest
    whole = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        whole, rest = whole + rest[:int(size, 16)], rest[int(size, 16) + 2:]
    return whole


def main(transcripts, corpus):
    for recording in sorted(pathlib.Path(transcripts).glob("*.raw")):
        raw = recording.read_bytes()
        body = body_of(raw)
        target = "answers"
        if b"connect+json" in raw[:400]:
            target = "connect"
        elif b'"type": "' in body and body.endswith(b"\n"):
            target = "ndjson"
        if not body or len(body) > LARGEST:
            continue
        seed = pathlib.Path(corpus, target, recording.stem)
        seed.parent.mkdir(parents=True, exist_ok=True)
        seed.write_bytes(body if target == "answers" else b"\x10" + body)


main(*sys.argv[1:])
