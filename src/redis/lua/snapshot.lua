-- snapshot: -> [limit, used, max|-1, waiters, oldest, operator's value|-1, cut left|-1]...; max: the lower of the last
--              two, in place of what callers have configured
-- Writes nothing. Limits are those of living permits and those with an operator's value or a cut. For metrics and
-- people: one call per permit.
local order, oldest = {}, {}
local function see(name, born)
    if not oldest[name] then
        order[#order + 1] = name
        oldest[name] = born
    end
    oldest[name] = math.min(oldest[name], born)
end
for _, permit in ipairs(call('ZRANGE', L .. 'p', 0, -1)) do
    local p = call('HMGET', L .. 'p:' .. permit, 'limits', 'born')
    for name in string.gmatch(p[1] or '', '%S+') do see(name, tonumber(p[2] or now)) end
end
for _, name in ipairs(call('HKEYS', L .. 'lim')) do see(name, now) end
for _, name in ipairs(call('HKEYS', L .. 'cut')) do see(name, now) end

local answer = {}
for _, name in ipairs(order) do
    local set, waiters, left = tonumber(call('HGET', L .. 'lim', name) or -1) or -1, 0, -1
    local max, to, ends = set, string.match(call('HGET', L .. 'cut', name) or '', '^(%d+):(%d+)$')
    if ends and tonumber(ends) > now then
        left = tonumber(ends) - now
        max = set < 0 and tonumber(to) or math.min(set, tonumber(to))
    end
    for _, entry in ipairs(call('HVALS', L .. 'q:' .. name)) do
        local seen = string.match(entry, '^%d+:(%d+):')
        if seen and tonumber(seen) >= now - FRESH then waiters = waiters + 1 end
    end
    answer[#answer + 1] = {name, call('SCARD', L .. 'l:' .. name), max, waiters, math.max(0, now - oldest[name]), set, left}
end
return answer
