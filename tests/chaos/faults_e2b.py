"""E2B that refuses, fails, answers late or never, loses sandboxes; and the limit that is lowered."""
from __future__ import annotations

from faults import Hands, fault, standing_still


def refusing(hands: Hands, seconds: float, **how):
    """Creates are refused as long as that."""
    hands.e2b(create_fail={"count": 1_000_000, **how})
    try:
        yield seconds
    finally:
        hands.e2b(create_fail={"count": 0})


@fault("creates answer 500 for 6 s")
def e2b_500(hands: Hands):
    yield from refusing(hands, 6, status=500)


@fault("creates answer 503 for 10 s", 20)
def e2b_503(hands: Hands):
    yield from refusing(hands, 10, status=503, error_code="sandbox_capacity_unavailable", message="no capacity")


@fault("creates answer 429, too many sandboxes, for 10 s", 20)
def e2b_429_full(hands: Hands):
    yield from refusing(hands, 10, kind="concurrency")


@fault("creates answer 429, too many requests, for 10 s", 20)
def e2b_429_rate(hands: Hands):
    yield from refusing(hands, 10, kind="rate", retry_after=2)


@fault("the key is refused for 8 s", 20)
def e2b_401(hands: Hands):
    yield from hands.switched(8, {"reject_all": True}, {"reject_all": False})


@fault("e2b-local stands still for 12 s", 30)
def e2b_pause(hands: Hands):
    yield from standing_still(hands.cluster.local, 12)


@fault("eight creates make their sandbox and never answer", 50)
def create_silent(hands: Hands):
    yield from hands.switched(12, {"create_silent": {"count": 8, "after_ms": 45_000}}, {"create_silent": {"count": 0}})


@fault("creates of 4 s are carried out 60 s later, when their clients have left", 90)
def create_late(hands: Hands):
    hands.e2b(create_delay_ms=60_000)
    try:
        yield 4
        hands.e2b(create_delay_ms=0)
        yield 62
    finally:
        hands.e2b(create_delay_ms=0)


@fault("sandboxes' ends are set 60 s after the asking, for 75 s", 100)
def timeout_late(hands: Hands):
    yield from hands.switched(75, {"keep_delay_ms": 60_000}, {"keep_delay_ms": 0})


@fault("thirty streams are cut in the middle", 25)
def cut_streams(hands: Hands):
    for _ in range(6):
        hands.e2b(cut_stream={"count": 5, "after_bytes": hands.random.choice([1, 50, 300, 2000]), "plane": "any"})
        yield 2
    hands.e2b(cut_stream={"count": 0})


@fault("ten sandboxes vanish, one after the other", 25)
def vanish(hands: Hands):
    for _ in range(10):
        hands.e2b(lose="any")
        yield hands.random.uniform(0.3, 1.5)


@fault("kills answer 500 for 8 s", 20)
def kill_fails(hands: Hands):
    yield from hands.switched(8, {"kill_fail": {"count": 1_000_000, "status": 500}}, {"kill_fail": {"count": 0}})


@fault("the global limit is lowered to a quarter while all of it is in use, for 15 s", 30)
def limit_lowered(hands: Hands):
    cluster = hands.cluster
    cluster.set_limit("g", max(1, cluster.options.limit // 4))
    try:
        yield 15
    finally:
        cluster.set_limit("g", None)
