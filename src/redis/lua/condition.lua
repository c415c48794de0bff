-- condition: -> why nothing is granted|'', workers with a lease, rebuilt for so long|-1, workers that have not asserted
-- Writes nothing. In any state of the ledger: it is how people learn the state.
local led = fields(L .. 'led', 'state', 'since')
local since = led.state == 'rebuilding' and tonumber(led.since)
return {not_ready() or '', call('ZCOUNT', L .. 'w', '(' .. string.format('%.0f', now), '+inf'),
        since and math.max(0, now - since) or -1, since and count_missing() or 0}
