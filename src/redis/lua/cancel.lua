-- cancel: job, ttl -> ok | late (it has a verdict)
-- Writes j:, x: and tells the owner, surely; and everybody, as a hint, for it may wait in anybody's queue. In any state
-- of the ledger: the wish stays true.
--
-- Closes: a cancel that comes while its job is still in Kafka, or while it is taken over: the mark stays in the claim
-- until somebody acquires or adopts it. It never changes a verdict: whoever seals first wins.
local job, ttl = A[1], tonumber(A[2])
local J = L .. 'j:' .. job
local c = fields(J, 'state', 'owner')
if c.state == 'sealed' or c.state == 'done' then return 'late' end
call('HSET', J, 'cancel', 1)
call('PUBLISH', L .. 'ev', 'cancel ' .. job)
if c.state == 'running' then
    if c.owner ~= '' then note_cancel(c.owner, job) end
    return 'ok'
end
if not c.state then call('HSET', J, 'state', 'idle') end
if call('PTTL', J) < ttl then call('PEXPIRE', J, ttl) end
return 'ok'
