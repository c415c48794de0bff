"""Redis: one function for each script of src/redis/lua, whole or not at all, in the words of its answers. They are written
in the order of the scripts, so that one can be laid beside the other; durations are events (environment.py)."""
from world import (DONE, IDLE, LOST, NOBODY, PARKED, READY, REBUILDING, RUNNING, SEALED, Claim, Permit,
                   drop_permit, permit_of, put_permit, with_member, without_member)


def pulse(ledger, me, epochs):
    """pulse.lua -> ledger, whether the lease had lapsed. H36: after a loss the first pulse begins the rebuild. H22: after
    a gap in everybody's pulses nobody is taken over for one lease. A cancel is told until its claim shows that it was
    heard; here no pulse's answer is lost, so that once will do."""
    has_lapsed = me not in ledger.leases
    if ledger.state == LOST:
        ledger = ledger._replace(state=REBUILDING, epoch=1 + max(ledger.epoch, *epochs), is_held=True, asserted=(),
                                 is_read_back=False, is_listed=False)
    elif not ledger.leases:
        ledger = ledger._replace(is_held=True)
    return ledger._replace(leases=with_member(ledger.leases, me), told=without_member(ledger.told, me)), has_lapsed


def acquire(rules, ledger, me, permit, hop, payload):
    """acquire.lua -> ledger, answer. Never `denied`: a full limit is a delay."""
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
        is_over = c.is_late or c.epoch != ledger.epoch
        is_kept = ledger.is_held or not is_over and (c.owner == me or c.owner in ledger.leases)
        if c.owner != NOBODY and is_kept:
            return ledger, "elsewhere"
        return take_over(rules, ledger, me, payload)
    if c.is_cancelled:
        return ledger, "cancelled"
    claim = Claim(RUNNING, me, permit, attempt=c.attempt + 1, hop=hop, payload=payload, epoch=ledger.epoch)
    return put_permit(ledger._replace(claim=claim), Permit(permit, me, ledger.epoch)), "granted"


def take_over(rules, ledger, me, payload):
    """H4, H35: the claim is the caller's, and of a running one the permit. That of a sealed one keeps its name."""
    c = ledger.claim
    claim = c._replace(owner=me, is_late=False, epoch=ledger.epoch, payload=c.payload or payload)
    ledger = ledger._replace(claim=claim)
    if c.state == SEALED:
        return ledger, "sealed"
    named = permit_of(ledger, c.permit)
    if named and rules.permit_names:
        ledger = put_permit(ledger, named._replace(worker=me))
    if c.is_cancelled:
        ledger = ledger._replace(told=with_member(ledger.told, me))
    return ledger, "adopt"


def superseded(ledger, me, permit):
    """prelude.lua, H35: whose claim this is not. superseded_permit: the sandbox is another's by now."""
    c, named = ledger.claim, permit_of(ledger, permit)
    if named and named.worker != me or c and c.permit == permit and c.owner != me and c.state == RUNNING:
        return "superseded_permit"
    return "superseded"


def is_mine(ledger, me, permit, *states):
    c = ledger.claim
    return c is not None and c.owner == me and c.permit == permit and c.state in states


def bind(rules, ledger, me, permit):
    """bind.lua"""
    if ledger.state != READY:
        return ledger, "not_ready"
    if not is_mine(ledger, me, permit, RUNNING, SEALED):
        return ledger, superseded(ledger, me, permit)
    named = permit_of(ledger, permit)
    if rules.permit_names and (not named or named.worker != me):
        return ledger, "superseded"
    if ledger.claim.state == RUNNING:
        ledger = ledger._replace(claim=ledger.claim._replace(is_bound=True, is_late=False, epoch=ledger.epoch))
    return ledger, "ok"


def seal(ledger, me, permit, payload, result):
    """seal.lua, H1: once per job. H3: without a permit (0) while nobody runs or publishes it."""
    c = ledger.claim or Claim(IDLE)
    if ledger.state != READY:
        return ledger, "not_ready"
    if c.payload and c.payload != payload:
        return ledger, "conflict"
    if c.state == DONE:
        return ledger, "done"
    if is_mine(ledger, me, permit, SEALED):  # an answer was lost, or it was asserted
        return ledger, "ok" if c.result == result else "elsewhere"
    if permit and not is_mine(ledger, me, permit, RUNNING):
        return ledger, superseded(ledger, me, permit)
    if not permit and c.state in (RUNNING, SEALED):
        return ledger, "elsewhere"
    claim = Claim(SEALED, me, permit, attempt=c.attempt, hop=c.hop, payload=payload, result=result, epoch=ledger.epoch)
    return ledger._replace(claim=claim), "ok"


def done(rules, ledger):
    """done.lua: by anyone who had the record delivered, in any state of the ledger: that it was delivered stays true."""
    c = ledger.claim or Claim(IDLE)
    if c.state == RUNNING and not rules.done_wins:
        return ledger
    return ledger._replace(claim=Claim(DONE, payload=c.payload, epoch=0))


def is_callers(ledger, me, owner):
    """What the leader of a rebuild has asserted as nobody's, from a list that was older, is the caller's too."""
    return owner == me or owner == NOBODY and ledger.state == REBUILDING


def given_up(claim, state=IDLE, hop=0):
    """prelude.lua, give_up: what a claim remembers that nobody runs."""
    return Claim(state, attempt=claim.attempt, hop=hop or claim.hop, payload=claim.payload,
                 is_cancelled=claim.is_cancelled, epoch=0)


def release_claim(ledger, me, permit, state, hop=0, is_uncounted=False):
    """release.lua, its first half: in any state of the ledger. parked: where nobody runs the job, whoever had it, as
    far as one can know."""
    c = ledger.claim or Claim(IDLE, epoch=0)
    mine = c.state == RUNNING and c.permit == permit and is_callers(ledger, me, c.owner)
    if mine and is_uncounted:
        c = c._replace(attempt=max(0, c.attempt - 1))
    if state == PARKED and (mine or c.state in (IDLE, PARKED) and ledger.state == READY):
        return ledger._replace(claim=given_up(c, PARKED, max(hop, c.hop)))
    return ledger._replace(claim=given_up(c)) if mine else ledger


def release_permit(rules, ledger, me, permit):
    """release.lua, its second half: nor shall anybody adopt it."""
    named, c = permit_of(ledger, permit), ledger.claim
    if not named or rules.permit_names and not is_callers(ledger, me, named.worker):
        return ledger
    if named.worker == NOBODY and c and c.state == RUNNING and c.owner == NOBODY and c.permit == permit:
        ledger = ledger._replace(claim=given_up(c))
    return drop_permit(ledger, permit)


def give_away(ledger, me, permit):
    """yield.lua (H55): claim and permit are nobody's."""
    named, c = permit_of(ledger, permit), ledger.claim
    if ledger.state != READY:
        return ledger, "not_ready"
    if named and named.worker == NOBODY and c and c.state == RUNNING and c.permit == permit and c.owner == NOBODY:
        return ledger, "ok"
    if not is_mine(ledger, me, permit, RUNNING) or not named or named.worker != me:
        return ledger, superseded(ledger, me, permit)
    ledger = ledger._replace(claim=c._replace(owner=NOBODY, is_late=False, epoch=ledger.epoch))
    return put_permit(ledger, named._replace(worker=NOBODY)), "ok"


def cancel(ledger):
    """cancel.lua, H20: the flag is in the claim, made for it where there is none; who seals first wins."""
    c = ledger.claim or Claim(IDLE, epoch=0)
    if c.state in (SEALED, DONE):
        return ledger, "late"
    ledger = ledger._replace(claim=c._replace(is_cancelled=True))
    if c.state == RUNNING and c.owner != NOBODY:
        ledger = ledger._replace(told=with_member(ledger.told, c.owner))
    return ledger, "ok"


def condemn(rules, ledger, me, permit):
    """condemn.lua, H38: may the reaper kill this sandbox? `kill` takes the permit, and frees the claim."""
    c, named = ledger.claim, permit_of(ledger, permit)
    if ledger.state != READY:
        return ledger, "not_ready"
    if not rules.condemn:
        return ledger, "keep" if named and named.worker in ledger.leases else "kill"
    if not named:
        return ledger, "kill"
    if named.worker != NOBODY and (ledger.is_held or named.worker in ledger.leases):
        return ledger, "keep"
    if c and c.state == RUNNING and c.permit == permit:
        if not c.is_late:
            return ledger, "keep"
        ledger = ledger._replace(claim=given_up(c))
    return put_permit(ledger, named._replace(worker=me)), "kill"


# ---- the rebuild (H37)


def assert_(rules, ledger, me, permit, claim=None):
    """assert.lua. me NOBODY: the leader, for what E2B lists. permit 0: none; claim None: no job goes with it."""
    epoch, is_mine_, c = ledger.epoch, me != NOBODY, ledger.claim or Claim(IDLE, epoch=0)
    if permit:
        named = permit_of(ledger, permit)
        if named and named.epoch == epoch and named.worker not in (me, NOBODY):
            return ledger, "superseded_permit"
        runs_it_now = c.permit == permit and c.epoch == epoch and c.owner not in (NOBODY, me)
        if not named and claim and runs_it_now:
            return ledger, "superseded_permit"  # who runs it here and now has said that this sandbox is dead
        is_free = c.owner in (NOBODY, me) or c.epoch != epoch
        if is_mine_ and named and not claim and c.state == RUNNING and c.permit == permit and is_free:
            ledger = ledger._replace(claim=given_up(c))
        ledger = put_permit(ledger, Permit(permit, me, epoch))
    if not claim:
        return ledger, "ok"
    return assert_claim(rules, ledger, me, permit, claim, c)


def assert_claim(rules, ledger, me, permit, claim, c):
    """The owner's word beats the leader's, and what is of an earlier epoch: an old snapshot. A verdict beats a run, a later
    attempt an earlier one, else the first one has it."""
    epoch = ledger.epoch
    is_now, refused = c.epoch == epoch, "superseded" if permit else "elsewhere"
    if c.state == DONE:
        return ledger, "done"
    if claim.state == SEALED and c.state == SEALED and is_now:
        if c.owner == me:
            return ledger, "ok" if c.result == claim.result else "elsewhere"
        return ledger, refused
    if claim.state == SEALED and c.state == RUNNING and is_now and c.owner != NOBODY and not rules.stronger_wins:
        return ledger, refused
    if claim.state == RUNNING:
        if c.state == SEALED or c.state == PARKED and (me == NOBODY or claim.hop < c.hop):
            return ledger, refused
        if c.state == RUNNING and is_now and not (c.owner == me and c.permit == permit):
            is_later = claim.attempt > c.attempt and rules.stronger_wins
            if me == NOBODY or not (c.owner == NOBODY or is_later):
                return ledger, refused
        if me == NOBODY and c.state == RUNNING and c.permit == permit:  # a list knows less than what is written here
            return ledger._replace(claim=c._replace(owner=NOBODY, epoch=epoch, is_late=False, is_bound=True)), "ok"
    told = ledger.told
    if c.is_cancelled and claim.state == RUNNING and me != NOBODY:
        told = with_member(told, me)
    claim = claim._replace(owner=me, permit=permit, epoch=epoch, payload=claim.payload or c.payload,
                           is_cancelled=c.is_cancelled and claim.state == RUNNING)
    return ledger._replace(claim=claim, told=told), "ok"


def ready(ledger):
    """ready.lua: what was not asserted is forgotten, and nobody is taken over for one lease."""
    return ledger._replace(state=READY, asserted=(), is_read_back=False, is_listed=False, is_held=True,
                           permits=tuple(p for p in ledger.permits if p.epoch == ledger.epoch))
