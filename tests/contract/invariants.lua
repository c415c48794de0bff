-- What must hold between any two operations of a ledger; answers '' or what is broken. KEYS[1] is the prefix.
local L, call = KEYS[1], redis.call
local function set_of(list) local s = {} for _, x in ipairs(list) do s[x] = true end return s end
local permits = call('ZRANGE', L .. 'p', 0, -1)
local p = set_of(permits)
local g = call('SMEMBERS', L .. 'l:g')
if #g ~= #permits then return 'l:g has ' .. #g .. ' members, p has ' .. #permits end
for _, key in ipairs(call('KEYS', L .. 'l:*')) do
    local members = call('SMEMBERS', key)
    for _, id in ipairs(members) do if not p[id] then return key .. ' has ' .. id .. ', p has not' end end
    local max = tonumber(call('HGET', 'maxima', string.sub(key, #L + 3)))
    if max and #members > max then return key .. ' has ' .. #members .. ' of ' .. max end
end
for _, id in ipairs(permits) do
    if call('HEXISTS', L .. 'p:' .. id, 'worker') == 0 then return id .. ' has no record' end
end
if #call('KEYS', L .. 'p:*') ~= #permits then return 'a permit record without a place in p' end
local runs = {}
for _, key in ipairs(call('KEYS', L .. 'j:*')) do
    local c = call('HMGET', key, 'state', 'owner', 'permit', 'until')
    if c[1] == 'running' or c[1] == 'sealed' then
        if call('TTL', key) ~= -1 then return key .. ' is ' .. c[1] .. ' and has a TTL' end
        if not c[4] then return key .. ' has no end' end
    elseif call('TTL', key) < 0 then
        return key .. ' is ' .. tostring(c[1]) .. ' and has no TTL'
    end
    if c[1] == 'sealed' and call('EXISTS', L .. 'o:' .. string.sub(key, #L + 3)) == 0 then return key .. ' lost its record' end
    if c[1] == 'running' then
        if runs[c[3]] then return 'two running claims under ' .. c[3] end
        runs[c[3]] = true
        if p[c[3]] and call('HGET', L .. 'p:' .. c[3], 'worker') ~= c[2] then
            return key .. ' is run by ' .. c[2] .. ', its permit names ' .. call('HGET', L .. 'p:' .. c[3], 'worker')
        end
    end
end
return ''
