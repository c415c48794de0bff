-- release: worker, permit, job|'', idle|parked, hop|'', ttl, keep 0|1, uncount 0|1 -> 1 (the permit is gone) | 0
-- Writes j:, and drops the permit unless keep (a create in doubt keeps its place); tells who waits for its limits.
--
-- Closes: a worker that was stopped and wakes after its sandbox was adopted must not free the adopter's place: the
-- permit must name the caller. In any state of the ledger: that a sandbox is dead stays true.
local worker, permit, job = A[1], A[2], A[3]
if job ~= '' then
    local J = L .. 'j:' .. job
    local c = call('HMGET', J, 'state', 'owner', 'permit', 'attempt')
    if c[1] == 'running' and c[2] == worker and c[3] == permit then
        call('HSET', J, 'state', A[4], 'owner', '')
        if A[5] ~= '' then call('HSET', J, 'hop', A[5]) end
        if A[8] == '1' then call('HSET', J, 'attempt', math.max(0, tonumber(c[4] or 0) - 1)) end
        call('HDEL', J, 'permit', 'sandbox', 'mode', 'plan', 'until', 'run_until', 'taken')
        call('PEXPIRE', J, A[6])
    end
end
if A[7] == '1' or call('HGET', L .. 'p:' .. permit, 'worker') ~= worker then return 0 end
call('PUBLISH', L .. 'ev', 'free ' .. drop(permit))
return 1
