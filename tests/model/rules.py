"""The rules that close a hole each, by name, with the numbers H of the ledger's contract (src/redis/lua says what each
script closes). All hold in the design. Left out, each is missed: variants.py says where."""
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Rules:
    # -- one result
    seal_first: bool = True         # H1, H2: a verdict is sealed before it is produced; a look at the claim is not enough
    refusals_sealed: bool = True    # H3: also the verdict of a record that never ran
    until: bool = True              # H4: a claim ends, whatever its owner remembers
    done_wins: bool = True          # what was delivered is done, whoever runs the job meanwhile
    copy_first: bool = True         # H13: a retry's copy is delivered before the claim is parked
    # -- one beginning, for jobs that ask for it (H19)
    bind_first: bool = True         # H44: nothing begins before the claim names its sandbox
    final_keeps_claim: bool = True  # what died with its worker is sealed under the claim that was taken over
    adopter_is_final: bool = True   # what was adopted may have begun, also when its sandbox is gone at the first look
    superseded_remembers: bool = True   # who was superseded does not begin it again either
    # -- sandboxes and runs
    lease_gate: bool = True         # H35: who was stopped pulses before it acts, and looks whose its permits are
    grant_age: bool = True          # H30: an old grant is no grant
    doubt: bool = True              # H31: an unanswered create keeps its permit while it may be carried out
    horizon: bool = True            # H30, H33: a permit ends after its sandbox
    permit_names: bool = True       # H35: a take-over puts its name on the permit; who is not named does nothing with it
    gone_is_mine: bool = True       # a permit that exists no more is nobody else's: the sandbox is to be killed
    record_decides: bool = True     # H52: who comes second to a process attaches
    condemn: bool = True            # H38: the reaper asks right before each kill, and takes the permit
    # -- a lost ledger
    read_back: bool = True          # H9: a rebuild takes from Kafka what is done
    read_back_last: bool = True     # ... when everybody who may publish has asserted
    reseal: bool = True             # H9: what an earlier epoch sealed is sealed again before it is produced
    assertions: bool = True         # H37: workers say what they hold
    found_asserted: bool = True     # ... also the verdict of another that they have handed to librdkafka
    stronger_wins: bool = True      # a verdict takes the claim from a run, a later attempt from an earlier one
    wait_for_asserted: bool = True  # H37: ready waits for all that pulsed
    wait_for_crew: bool = True      # ... and for all whom they remember
    wait_for_creates: bool = True   # ... for 120 s, so that creates of the dead are over
    leader_lists: bool = True       # H37: what E2B lists and nobody asserted is nobody's, and adoptable
    list_last: bool = True          # ... and it is listed after all this waiting


DESIGN = Rules()
NAMES = tuple(field.name for field in fields(Rules))
