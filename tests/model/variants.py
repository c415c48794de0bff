"""What is explored: the variants of the shipped design, each under several budgets of faults, and for every rule the place
where its absence shows."""
from typing import NamedTuple

import faults

INTERPRETER = {}
PROCESS = {"is_process": True}
NEVER = {"is_never": True}
NEVER_PROCESS = {"is_process": True, "is_never": True}
EXPIRED = {"copy": "expired"}
CORRUPT = {"copy": "corrupt"}
REAPER = {"is_process": True, "has_reaper": True}
OUTAGE = {"publishes_unsealed": True}
STOPPED_AT_SEND = {"is_check_apart": True, "may_exceed": True}


class Variant(NamedTuple):
    text: str
    job: dict  # of explore.Model
    pairs: tuple  # beside every fault alone


VARIANTS = {
    "interpreter": Variant("a run that nobody can adopt", INTERPRETER, (
        "stops rebalances", "kills rebalances", "creates rebalances", "answers kills", "cancels kills", "hops rebalances",
        "flushes rebalances", "flushes kills")),
    "process": Variant("a run that whoever has the record next goes on with", PROCESS, (
        "stops rebalances", "kills rebalances", "cancels stops", "drains rebalances", "drains answers", "drains creates",
        "flushes rebalances", "flushes kills", "vanishings kills")),
    "never": Variant("retry.after_start never, interpreter", NEVER, (
        "stops rebalances", "kills kills", "breaks rebalances", "drains rebalances", "flushes rebalances", "snapshots")),
    "never-process": Variant("retry.after_start never, process", NEVER_PROCESS, (
        "kills vanishings", "stops rebalances", "drains rebalances", "flushes drains")),
    "expired": Variant("a second copy of the record, past its expires_at", EXPIRED, (
        "answers rebalances", "cancels rebalances", "flushes answers")),
    "corrupt": Variant("a second record with the same id and another payload", CORRUPT, (
        "answers rebalances", "flushes answers")),
    "reaper": Variant("process, and the reaper looks for what nobody has a right to", REAPER, (
        "stops rebalances", "kills rebalances", "creates kills", "drains rebalances", "flushes kills")),
    "outage": Variant("Redis is away for longer than redis.outage_hold_ms: published unsealed", OUTAGE, (
        "cuts creates",)),
}


class Switch(NamedTuple):
    """Where a rule's absence shows."""
    job: dict
    faults: str


SWITCHES = {
    "seal_first": Switch(EXPIRED, "cancels"),
    "refusals_sealed": Switch(EXPIRED, ""),
    "until": Switch(EXPIRED, "answers"),
    "done_wins": Switch(EXPIRED, "snapshots"),
    "copy_first": Switch(INTERPRETER, "hops kills"),
    "bind_first": Switch(NEVER, "kills"),
    "final_keeps_claim": Switch(NEVER, "kills kills"),
    "adopter_is_final": Switch(NEVER_PROCESS, "kills vanishings"),
    "superseded_remembers": Switch(NEVER, "flushes stops"),
    "lease_gate": Switch(PROCESS, "stops rebalances breaks"),
    "grant_age": Switch(INTERPRETER, "stops rebalances"),
    "doubt": Switch(PROCESS, "creates"),
    "horizon": Switch(PROCESS, "creates"),
    "permit_names": Switch(PROCESS, "stops rebalances breaks"),
    "gone_is_mine": Switch(STOPPED_AT_SEND, "stops"),
    "record_decides": Switch(PROCESS, "drains"),
    "condemn": Switch(REAPER, "stops stops rebalances"),
    "read_back": Switch(EXPIRED, "flushes"),
    "read_back_last": Switch(EXPIRED, "flushes kills"),
    "reseal": Switch(EXPIRED, "flushes stops"),
    "assertions": Switch(EXPIRED, "flushes"),
    "found_asserted": Switch(EXPIRED, "flushes answers"),
    "stronger_wins": Switch(PROCESS, "flushes stops rebalances"),
    "wait_for_asserted": Switch(NEVER, "flushes"),
    "wait_for_crew": Switch(EXPIRED, "flushes"),
    "wait_for_creates": Switch(INTERPRETER, "flushes kills"),
    "leader_lists": Switch(INTERPRETER, "flushes kills"),
    "list_last": Switch(PROCESS, "flushes kills"),
}


def budget_of(text):
    names = text.split()
    return {name: names.count(name) for name in names}


def budgets(variant, is_deep):
    """-> what to call it, budget."""
    for name in faults.NAMES:
        yield name, {name: 1}
    pairs = variant.pairs
    if is_deep:
        pairs = [f"{a} {b}" for n, a in enumerate(faults.NAMES) for b in faults.NAMES[n:]]
    for pair in pairs:
        yield pair, budget_of(pair)
