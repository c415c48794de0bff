-- lock: worker, what, ttl -> ok | taken
-- Writes lock:<what>, for ttl, also where the caller has it already. In any state of the ledger. It saves work and
-- carries no safety.
local lock = L .. 'lock:' .. A[2]
if (call('GET', lock) or A[1]) ~= A[1] then return 'taken' end
call('SET', lock, A[1], 'PX', A[3])
return 'ok'
