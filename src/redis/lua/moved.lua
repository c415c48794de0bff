-- moved: job, place -> ok
-- Writes j:, whether it is there or not.
--
-- Closes: a record whose offset is finished without a result, because a copy of it goes on elsewhere, while somebody
-- seals, or has sealed, a verdict for it: whoever then asks Kafka for that offset would take the result for committed.
-- Told before the offset is finished. The last eight are kept: who may still seal for an earlier one went long ago.
local job, place = A[1], A[2]
local J = L .. 'j:' .. job
local c = call('HMGET', J, 'state', 'place', 'moved')
if c[1] == 'done' then return 'ok' end
if c[2] == place then call('HDEL', J, 'place') end
local kept = {}
for name in string.gmatch(c[3] or '', '%S+') do
    if name ~= place then kept[#kept + 1] = name end
end
kept[#kept + 1] = place
call('HSET', J, 'moved', table.concat(kept, ' ', math.max(1, #kept - 7)))
if not c[1] then call('PEXPIRE', J, DAY) end
return 'ok'
