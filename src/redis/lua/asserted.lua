-- asserted: worker, epoch, workers (space-separated, that it remembers from when a ledger was ready) -> ok | closed
-- Writes said, crew: what ready asks for.
--
-- Closes: a rebuild that ends before everybody has said what it holds. The epoch is the one in which the caller said
-- it: assertions that a second loss has swallowed do not count.
local led = call('HMGET', L .. 'led', 'state', 'epoch')
if led[1] ~= 'rebuilding' or led[2] ~= A[2] then return 'closed' end
call('SADD', L .. 'said', A[1])
for name in string.gmatch(A[3], '%S+') do call('SADD', L .. 'crew', name) end
return 'ok'
