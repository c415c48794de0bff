-- done: job, status|'', partition, offset, ttl -> ok | superseded; '' keeps the status that was sealed
-- Writes j:, deletes o:, tells watchers.
--
-- By anyone who had the record delivered, in any state of the ledger: that it was delivered stays true. A running
-- claim is left alone: somebody works on it under a fence of its own. The first delivery's place is kept.
local job = A[1]
local J = L .. 'j:' .. job
local status = A[2] ~= '' and A[2] or call('HGET', J, 'status') or ''
local state = call('HGET', J, 'state')
if state == 'running' then return 'superseded' end
if state ~= 'done' then
    call('HSET', J, 'state', 'done', 'status', status, 'partition', A[3], 'offset', A[4])
    call('DEL', L .. 'o:' .. job)
    local watched = call('HDEL', J, 'watch')
    call('HDEL', J, 'owner', 'permit', 'sandbox', 'mode', 'plan', 'until', 'run_until', 'hop', 'attempt', 'crashes',
         'cancel', 'taken')
    if watched == 1 then call('PUBLISH', L .. 'ev', 'done ' .. job) end
    call('PEXPIRE', J, A[5])
end
return 'ok'
