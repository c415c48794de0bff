"""Redis that is emptied, stands still, comes back old or empty, fails over, or jumps in time."""
from __future__ import annotations

import signal

from cluster import Cluster, freeze
from faults import Hands, fault, standing_still
from stack import wait_until

HOUR_MS = 3_600_000


@fault("FLUSHALL", 60)
def redis_flush(hands: Hands):
    hands.cluster.ask().flushall()
    yield 1


@fault("FLUSHALL while jobs run whose partitions have just moved to others", 75)
def redis_flush_detached(hands: Hands):
    hands.cluster.start_worker("extra")
    try:
        wait_until(lambda: hands.cluster.members["extra"].ready()[0] == 200, 60, "the further worker is ready")
        hands.cluster.ask().flushall()
        yield 5
        yield from hands.cluster.end_worker("extra")
    finally:
        hands.cluster.remove_worker("extra")


@fault("redis-server stands still for 15 s", 35)
def redis_pause(hands: Hands):
    yield from standing_still(hands.cluster.redis, 15)


@fault("redis-server stands still for longer than every lease: nobody may be taken over for it", 75)
def redis_pause_long(hands: Hands):
    yield from standing_still(hands.cluster.redis, 40)


def begin_again(cluster: Cluster, keep_snapshot: bool) -> None:
    """A new server on the old one's port and folder, and the replica after it."""
    old = cluster.redis
    snapshot = old.log.parent / "dump.rdb"
    if not keep_snapshot:
        snapshot.unlink(missing_ok=True)
    cluster.redis = cluster.start_redis(port=old.port, folder=old.log.parent)


@fault("redis-server dies and comes back empty after 4 s", 75)
def redis_restart_empty(hands: Hands):
    hands.cluster.redis.kill()
    try:
        yield 4
    finally:
        begin_again(hands.cluster, keep_snapshot=False)


@fault("redis-server dies and comes back with a snapshot that is 20 s old", 90)
def redis_restart_old(hands: Hands):
    client = hands.cluster.ask()
    before = client.lastsave()
    client.bgsave()
    wait_until(lambda: client.lastsave() != before, 20, "the snapshot is written", 0.1)
    yield 20
    hands.cluster.redis.kill()
    try:
        yield 2
    finally:
        begin_again(hands.cluster, keep_snapshot=True)


def fail_over(hands: Hands, lag_s: float):
    """The replica takes over, having missed the last lag_s; clients find it read-only for a moment; the old one, started
    anew and empty, follows it."""
    cluster = hands.cluster
    old, new = cluster.redis, cluster.replica
    promoted = False
    if lag_s:
        freeze(new.process.pid)
    try:
        yield lag_s
        old.kill()
        new.signal(signal.SIGCONT)
        yield 1
        hands.wire.switch(new.port)
        yield 2
        cluster.ask(new).replicaof("NO", "ONE")
        promoted = True
        yield 1
    finally:
        new.signal(signal.SIGCONT)
        if not old.is_alive():
            if not promoted:
                cluster.ask(new).replicaof("NO", "ONE")
            hands.wire.switch(new.port)
            cluster.redis = new
            cluster.replica = cluster.start_redis("--replicaof", "127.0.0.1", str(new.port))


@fault("failover to the replica, which is read-only at first", 75)
def redis_failover(hands: Hands):
    yield from fail_over(hands, 0)


@fault("failover to a replica that lags by 5 s", 80)
def redis_failover_lagging(hands: Hands):
    yield from fail_over(hands, 5)


def step_clock(hands: Hands, ms: int):
    hands.cluster.shift_clock(hands.cluster.redis_clock, ms)
    yield 1


@fault("redis-server's wall clock steps an hour forward, and stays so", 75)
def clock_forward(hands: Hands):
    yield from step_clock(hands, HOUR_MS)


@fault("redis-server's wall clock steps back by an hour", 75)
def clock_back(hands: Hands):
    yield from step_clock(hands, -HOUR_MS)


@fault("no worker reaches Redis for 20 s: connections are refused", 45)
def redis_refuse(hands: Hands):
    hands.wire.is_refusing = True
    hands.wire.close_all()
    try:
        yield 20
    finally:
        hands.wire.is_refusing = False


@fault("redis-server may evict keys for 15 s: nobody may trust it", 40)
def redis_policy(hands: Hands):
    client = hands.cluster.ask()
    client.config_set("maxmemory-policy", "volatile-lru")
    hands.wire.close_all()  # whoever connects anew looks at the policy
    try:
        yield 15
        trusting = [name for name, member in hands.cluster.members.items() if member.ready()[0] == 200]
        if trusting:
            hands.window.breaches.append(f"ready on a Redis that evicts: {', '.join(trusting)}")
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        hands.wire.close_all()
