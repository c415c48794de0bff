-- yield: worker, job, permit|'' (a verdict), until -> ok | superseded | superseded_permit | not_ready
-- Writes j: and p:, tells watchers.
--
-- Closes: a run that outlives the grace of its worker's shutdown and would be taken over only a lease later, and count
-- as a crash. Claim and permit are nobody's, so that the next who acquires the job adopts it at once. It makes no
-- record that is not there. Asked again (a lost answer) it is ok again. With '' it is a verdict that becomes nobody's: a
-- result that only the owner of its record's offset may publish, and that is another worker now.
local worker, job, permit = A[1], A[2], A[3]
local why, epoch = not_ready()
if why then return 'not_ready' end
local J, P = L .. 'j:' .. job, L .. 'p:' .. permit
local c = fields(J, 'state', 'owner', 'permit', 'watch')
if permit == '' then
    if c.state ~= 'sealed' or (c.owner ~= worker and c.owner ~= '') then return 'superseded' end
    call('HSET', J, 'owner', '', 'until', now + tonumber(A[4]), 'epoch', epoch)
    call('HDEL', J, 'taken', 'watch') -- one hint: who only looks at it and leaves it again must not wake itself
    if c.watch then call('PUBLISH', L .. 'ev', 'done ' .. job) end
    return 'ok'
end
local named = call('HGET', P, 'worker')
local is_claims = c.state == 'running' and c.permit == permit
if is_claims and c.owner == '' and named == '' then return 'ok' end
if not is_claims or c.owner ~= worker then return superseded(worker, permit, c.state, c.owner, c.permit) end
if named ~= worker then return named and 'superseded_permit' or 'superseded' end
call('HSET', P, 'worker', '')
call('HSET', J, 'owner', '', 'until', now + tonumber(A[4]), 'epoch', epoch)
call('HDEL', J, 'taken')
if c.watch then call('PUBLISH', L .. 'ev', 'done ' .. job) end
return 'ok'
