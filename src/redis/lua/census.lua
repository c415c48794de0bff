-- census: -> [permit, worker|'', job|'', sandbox|'', alive 0|1, age, horizon left]..., the oldest first
-- Writes nothing. For the reaper and for people: one call per permit.
local permits = {}
local ends = call('ZRANGE', L .. 'p', 0, -1, 'WITHSCORES')
for i = 1, #ends, 2 do
    local p = fields(L .. 'p:' .. ends[i], 'worker', 'job', 'sandbox', 'born')
    permits[#permits + 1] = {ends[i], p.worker or '', p.job or '', p.sandbox or '', is_alive(p.worker) and 1 or 0,
                             math.max(0, now - tonumber(p.born or now)), math.max(0, tonumber(ends[i + 1]) - now)}
end
table.sort(permits, function(a, b) return a[6] > b[6] or (a[6] == b[6] and a[1] < b[1]) end)
return permits
