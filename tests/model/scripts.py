"""Redis: one function for each script of src/redis/lua, whole or not at all, in the words of its answers."""
from world import (DONE, IDLE, LOST, NOBODY, PARKED, READY, REAPER, REBUILDING, RUNNING, SEALED, Claim, Permit,
                   drop_permit, permit_of, put_permit, with_member, without_member)


def pulse(ledger, me, epochs):
    """-> ledger, whether the lease had lapsed. H36: after a loss the first pulse begins the rebuild. H22: after a gap in
    everybody's pulses nobody is taken over for one lease."""
    has_lapsed = me not in ledger.leases
    if ledger.state == LOST:
        ledger = ledger._replace(state=REBUILDING, epoch=1 + max(ledger.epoch, *epochs), is_held=True, asserted=(),
                                 is_read_back=False, is_listed=False)
    elif not ledger.leases:
        ledger = ledger._replace(is_held=True)
    return ledger._replace(leases=with_member(ledger.leases, me), told=without_member(ledger.told, me)), has_lapsed


def acquire(rules, ledger, me, permit, hop, payload):
    """-> ledger, answer. Never `denied`: a full limit is a delay."""
    c = ledger.claim or Claim(IDLE)
    if ledger.state != READY:
        return ledger, "not_ready"
    if c.payload and c.payload != payload:  # H7
        return ledger, "conflict"
    if c.state == DONE:
        return ledger, "done"
    if c.state == PARKED and hop < c.hop:  # H13
        return ledger, "stale"
    if c.state in (RUNNING, SEALED):
        is_kept = c.owner == me or c.owner in ledger.leases
        if c.owner != NOBODY and (ledger.is_held or is_kept and not c.is_late):
            return ledger, "elsewhere"
        return take_over(rules, ledger, me)
    if c.is_cancelled:
        return ledger, "cancelled"
    claim = Claim(RUNNING, me, permit, attempt=c.attempt + 1, hop=hop, payload=payload, epoch=ledger.epoch)
    return put_permit(ledger._replace(claim=claim), Permit(permit, me, ledger.epoch)), "granted"


def take_over(rules, ledger, me):
    """H4, H35: the claim is the caller's, and of a running one the permit, unless it is condemned (H38)."""
    c = ledger.claim
    ledger = ledger._replace(claim=c._replace(owner=me, is_late=False, epoch=ledger.epoch))
    if c.state == SEALED:
        return ledger, "sealed"
    named = permit_of(ledger, c.permit)
    if named and rules.renaming and not (named.worker == REAPER and rules.condemned_stays):
        ledger = put_permit(ledger, named._replace(worker=me))
    if c.is_cancelled:
        ledger = ledger._replace(told=with_member(ledger.told, me))
    return ledger, "adopt"


def superseded(ledger, me, permit):
    """H35: whose claim this is not. superseded_permit: the sandbox is another's by now."""
    c, named = ledger.claim, permit_of(ledger, permit)
    if named and named.worker != me or c and c.permit == permit and c.owner != me and c.state == RUNNING:
        return "superseded_permit"
    return "superseded"


def is_mine(ledger, me, permit, *states):
    c = ledger.claim
    return c is not None and c.owner == me and c.permit == permit and c.state in states


def bind(rules, ledger, me, permit):
    if ledger.state != READY:
        return ledger, "not_ready"
    if not is_mine(ledger, me, permit, RUNNING, SEALED):
        return ledger, superseded(ledger, me, permit)
    named = permit_of(ledger, permit)
    if rules.owner_check and (not named or named.worker != me):
        return ledger, "superseded"
    if ledger.claim.state == RUNNING:
        ledger = ledger._replace(claim=ledger.claim._replace(is_bound=True))
    return ledger, "ok"


def seal(ledger, me, permit, payload, result):
    """H1: once per job. H3: without a permit (0) while nobody runs or publishes it."""
    c = ledger.claim or Claim(IDLE)
    if ledger.state != READY:
        return ledger, "not_ready"
    if c.payload and c.payload != payload:
        return ledger, "conflict"
    if c.state == DONE:
        return ledger, "done"
    if is_mine(ledger, me, permit, SEALED):  # an answer was lost
        return ledger, "ok" if c.result == result else "elsewhere"
    if permit and not is_mine(ledger, me, permit, RUNNING):
        return ledger, superseded(ledger, me, permit)
    if not permit and c.state in (RUNNING, SEALED):
        return ledger, "elsewhere"
    claim = Claim(SEALED, me, permit, attempt=c.attempt, hop=c.hop, payload=payload, result=result, epoch=ledger.epoch)
    return ledger._replace(claim=claim), "ok"


def done(rules, ledger):
    """By anyone who had the record delivered, in any state of the ledger: that it was delivered stays true."""
    c = ledger.claim or Claim(IDLE)
    if c.state == RUNNING and not rules.done_wins:
        return ledger, "superseded"
    return ledger._replace(claim=Claim(DONE, payload=c.payload, epoch=ledger.epoch)), "ok"


def release_claim(ledger, me, permit, state, hop=0, is_uncounted=False):
    """To IDLE or PARKED, in any state of the ledger; another's is left alone."""
    if not is_mine(ledger, me, permit, RUNNING):
        return ledger
    c = ledger.claim
    return ledger._replace(claim=Claim(state, attempt=c.attempt - is_uncounted, hop=hop or c.hop, payload=c.payload,
                                       is_cancelled=c.is_cancelled, epoch=c.epoch))


def release_permit(rules, ledger, me, permit):
    named = permit_of(ledger, permit)
    if named and (named.worker == me or not rules.owner_check):
        return drop_permit(ledger, permit)
    return ledger


def give_away(ledger, me, permit):
    """The script `yield` (H55): claim and permit are nobody's."""
    named = permit_of(ledger, permit)
    if ledger.state != READY:
        return ledger, "not_ready"
    if not is_mine(ledger, me, permit, RUNNING) or not named or named.worker != me:
        return ledger, superseded(ledger, me, permit)
    ledger = ledger._replace(claim=ledger.claim._replace(owner=NOBODY))
    return put_permit(ledger, named._replace(worker=NOBODY)), "ok"


def cancel(ledger):
    """H20: the flag is in the claim, made for it where there is none; who seals first wins."""
    c = ledger.claim or Claim(IDLE, epoch=ledger.epoch)
    if ledger.state != READY:
        return ledger, "not_ready"
    if c.state in (SEALED, DONE):
        return ledger, "done"
    ledger = ledger._replace(claim=c._replace(is_cancelled=True))
    if c.state == RUNNING and c.owner != NOBODY:
        ledger = ledger._replace(told=with_member(ledger.told, c.owner))
    return ledger, "ok"


def condemn(rules, ledger, permit):
    """H38: may the reaper kill this sandbox? Yes takes the permit, so that nobody adopts it."""
    c, named = ledger.claim, permit_of(ledger, permit)
    if ledger.state != READY:
        return ledger, "not_ready"
    if not named:
        return ledger, "ok"
    is_alive = named.worker in ledger.leases or named.worker > NOBODY and ledger.is_held
    has_right = c and c.state == RUNNING and c.permit == permit and c.owner == named.worker and not c.is_late
    if is_alive or has_right:
        return ledger, "superseded_permit"
    return put_permit(ledger, named._replace(worker=REAPER)) if rules.condemn else ledger, "ok"


# ---- the rebuild (H37)


def assert_permit(ledger, me, permit):
    """me NOBODY: the leader, for what E2B lists."""
    named = permit_of(ledger, permit)
    if not named or named.epoch != ledger.epoch or named.worker == NOBODY:
        return put_permit(ledger, Permit(permit, me, ledger.epoch)), "ok"
    return ledger, "ok" if named.worker == me else "superseded_permit"


def assert_claim(rules, ledger, claim):
    """A running or sealed claim, its owner's or nobody's, against what is there: of the snapshot, or asserted before."""
    old = ledger.claim or Claim(IDLE, epoch=0)
    is_old = old.epoch != ledger.epoch
    if old.state == DONE:
        return ledger, "done"
    if old.state == SEALED and (claim.state == RUNNING or not is_old and old.result != claim.result):
        return ledger, "elsewhere"
    is_free = is_old or old.state in (IDLE, PARKED) or old.owner in (NOBODY, claim.owner)
    is_stronger = strength(claim) > strength(old) and rules.stronger_wins
    if not is_free and not is_stronger or claim.owner == NOBODY and not is_old:
        return ledger, "superseded"
    claim = claim._replace(epoch=ledger.epoch, payload=claim.payload or old.payload,
                           is_cancelled=old.is_cancelled and claim.state == RUNNING)
    return ledger._replace(claim=claim), "ok"


def strength(claim):
    return 2 if claim.state == SEALED else int(claim.is_bound)


def ready(ledger):
    """What was not asserted is forgotten."""
    return ledger._replace(state=READY, asserted=(), is_read_back=False, is_listed=False,
                           permits=tuple(p for p in ledger.permits if p.epoch == ledger.epoch))
