"""Brokers."""
from __future__ import annotations

from faults import Hands, fault


def without_broker(hands: Hands, seconds: float):
    number = hands.random.randint(1, 3)
    hands.note(f"broker {number}")
    hands.cluster.kafka.kill_broker(number)
    try:
        yield seconds
    finally:
        hands.cluster.kafka.revive_broker(number)


@fault("kill -9 of a broker; it comes back after 10 s", 50)
def broker(hands: Hands):
    yield from without_broker(hands, 10)
