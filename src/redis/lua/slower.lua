-- slower: retry_after, rate (creates per 1000 s that the caller is configured for, 0: unlimited) -> ok
-- Writes rate. In any state of the ledger.
--
-- Closes: a provider that answers 429 to every worker in turn. Nobody creates before retry_after has passed, and the
-- shared rate is halved, at most once a second, for one answer comes to many; acquire lets 10 % come back every 10 s.
local HIGHEST, LOWEST = 20000, 100 -- what an unlimited rate counts as, and one create in 10 s
local R, rest = L .. 'rate', now + math.max(0, tonumber(A[1]))
local r = fields(R, 'milli', 'cut', 'rest')
if not r.cut or now - tonumber(r.cut) >= 1000 then
    local rate = tonumber(A[2]) > 0 and tonumber(A[2]) or HIGHEST
    if r.milli then rate = math.min(rate, tonumber(r.milli) * 1.1 ^ math.floor((now - tonumber(r.cut)) / 10000)) end
    call('HSET', R, 'milli', math.max(LOWEST, math.floor(rate / 2)), 'cut', now)
end
if rest > tonumber(r.rest or 0) then call('HSET', R, 'rest', rest) end
return 'ok'
