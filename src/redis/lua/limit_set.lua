-- limit_set: limit, max|-1 (the callers' own again) -> ok
-- Writes lim, and tells who waits there. In any state of the ledger.
if tonumber(A[2]) < 0 then call('HDEL', L .. 'lim', A[1]) else call('HSET', L .. 'lim', A[1], A[2]) end
call('PUBLISH', L .. 'ev', 'free ' .. A[1])
return 'ok'
