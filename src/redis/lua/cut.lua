-- cut: limit, max, ttl -> ok
-- Writes cut: the limit is at most max until its end; the newest word counts. In any state of the ledger.
--
-- Closes: a quota of E2B's that is lower than our limit, or that others take from: workers would be refused for ever.
call('HSET', L .. 'cut', A[1], string.format('%d:%.0f', math.max(0, tonumber(A[2])), now + tonumber(A[3])))
return 'ok'
