-- ready: worker -> ok | later
-- Writes led, lock:rebuild, and drops permits. The caller vouches that E2B lists no sandbox of this ledger, twice.
--
-- Closes: a create that was under way elsewhere when the ledger was lost. It shows in E2B's list only once it has
-- been executed: grant 10 s + deadline 30 s + late execution 75 s, so 120 s. Nobody can have one under way where
-- there was no ledger and no worker with a history: 5 s, for such a worker to show itself. After that the permits
-- of earlier epochs stand for nothing: their sandboxes are not listed and their creates are over.
local worker = A[1]
local led = call('HMGET', L .. 'led', 'state', 'clk', 'since', 'fresh', 'epoch')
if led[1] == 'ready' then return 'ok' end
if led[1] ~= 'rebuilding' or now - tonumber(led[2]) > GAP or now < tonumber(led[2]) - 1000 then return 'later' end

local lock = L .. 'lock:rebuild'
if not call('SET', lock, worker, 'NX', 'PX', 10000) then
    if call('GET', lock) ~= worker then return 'later' end
    call('PEXPIRE', lock, 10000)
end
if now - tonumber(led[3]) < (led[4] == '1' and 5000 or 120000) then return 'later' end

for _, permit in ipairs(call('ZRANGE', L .. 'p', 0, -1)) do
    if call('HGET', L .. 'p:' .. permit, 'epoch') ~= led[5] then drop(permit) end
end
call('HSET', L .. 'led', 'state', 'ready')
call('HDEL', L .. 'led', 'fresh', 'since')
call('DEL', lock)
return 'ok'
