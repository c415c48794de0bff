-- asserted: worker, epoch, [worker, for how long its creates may yet come | -1: it was alive]..., as it remembers them
--           from when a ledger was ready -> ok | closed
-- Writes said, crew: what ready asks for.
--
-- Closes: a rebuild that ends before everybody has said what it holds. The epoch is the one in which the caller said
-- it: assertions that a second loss has swallowed do not count.
local led = call('HMGET', L .. 'led', 'state', 'epoch', 'since')
if led[1] ~= 'rebuilding' or led[2] ~= A[2] then return 'closed' end
call('SADD', L .. 'said', A[1])
for i = 3, #A, 2 do
    local left = tonumber(A[i + 1])
    call('ZADD', L .. 'crew', 'GT', left < 0 and led[3] + LATE or math.min(now + left, led[3] + LATE), A[i])
end
return 'ok'
