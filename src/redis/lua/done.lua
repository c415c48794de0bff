-- done: [job, status|'', partition, offset, ttl]... -> ok; '' keeps the status that was sealed
-- Writes j:, whether it is there or not, deletes o:, tells watchers. The first delivery's place is kept.
--
-- By anyone who had the record delivered, or read it in Kafka, in any state of the ledger and of the claim: that there
-- is a result stays true. A claim that runs nevertheless was made by a ledger that had forgotten the verdict: its
-- owner learns by its seal that it is too late, and no second result is published.
local function done(at)
    local job, status = A[at], A[at + 1]
    local J = L .. 'j:' .. job
    local c = call('HMGET', J, 'state', 'status', 'payload', 'origin', 'watch')
    if c[1] == 'done' then return end
    if status == '' then status = c[2] or '' end
    local kept = {}
    if c[3] then kept = {'payload', c[3]} end
    if c[4] then kept[#kept + 1], kept[#kept + 2] = 'origin', c[4] end
    call('DEL', J, L .. 'o:' .. job) -- cheaper than HDEL of all that a claim may have
    call('HSET', J, 'state', 'done', 'status', status, 'partition', A[at + 2], 'offset', A[at + 3], unpack(kept))
    if c[5] then call('PUBLISH', L .. 'ev', 'done ' .. job) end
    call('PEXPIRE', J, A[at + 4])
end

local failure
for at = 1, #A, 5 do failure = answer_of(done, at) or failure end
return failure or 'ok'
