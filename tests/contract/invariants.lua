-- What must hold between any two operations of a ledger; answers '' or what is broken. KEYS[1] is the prefix, ARGV[1] the
-- permit that was just granted, or ''. `maxima` holds what the test asks for; assertions count above it, grants do not.
local L, call = KEYS[1], redis.call
local function set_of(list) local s = {} for _, x in ipairs(list) do s[x] = true end return s end
local led = call('HMGET', L .. 'led', 'state', 'epoch', 'since', 'hold')
local permits = call('ZRANGE', L .. 'p', 0, -1)
local p = set_of(permits)
local g = call('SMEMBERS', L .. 'l:g')
if #g ~= #permits then return 'l:g has ' .. #g .. ' members, p has ' .. #permits end
for _, key in ipairs(call('KEYS', L .. 'l:*')) do
    for _, id in ipairs(call('SMEMBERS', key)) do
        if not p[id] then return key .. ' has ' .. id .. ', p has not' end
        local limits = ' ' .. (call('HGET', L .. 'p:' .. id, 'limits') or '') .. ' '
        if not string.find(limits, ' ' .. string.sub(key, #L + 3) .. ' ', 1, true) then
            return key .. ' has ' .. id .. ', whose limits are' .. limits
        end
    end
end
for _, id in ipairs(permits) do
    local record = call('HMGET', L .. 'p:' .. id, 'worker', 'limits', 'born', 'epoch')
    if not record[1] or not record[2] or not record[3] then return id .. ' has no whole record' end
    for name in string.gmatch(record[2], '%S+') do
        if call('SISMEMBER', L .. 'l:' .. name, id) == 0 then return id .. ' is not counted in ' .. name end
    end
    if led[1] == 'ready' and record[4] ~= led[2] then return id .. ' is of an earlier epoch' end
end
if #call('KEYS', L .. 'p:*') ~= #permits then return 'a permit record without a place in p' end
if ARGV[1] ~= '' then
    for name in string.gmatch(call('HGET', L .. 'p:' .. ARGV[1], 'limits'), '%S+') do
        local max, used = tonumber(call('HGET', 'maxima', name)), call('SCARD', L .. 'l:' .. name)
        if used > max then return ARGV[1] .. ' was granted as ' .. used .. ' of ' .. max .. ' under ' .. name end
    end
    if led[1] ~= 'ready' then return ARGV[1] .. ' was granted by a ledger that is not ready' end
end
local runs = {}
for _, key in ipairs(call('KEYS', L .. 'j:*')) do
    local c = call('HMGET', key, 'state', 'owner', 'permit', 'until', 'epoch', 'hop')
    local left = call('PTTL', key)
    if left < 0 then return key .. ' is ' .. c[1] .. ' and has no TTL' end
    if c[1] == 'running' or c[1] == 'sealed' then
        if not c[2] or not c[3] or not c[4] or not c[5] then return key .. ' is ' .. c[1] .. ' and not whole' end
    elseif c[1] == 'idle' or c[1] == 'parked' or c[1] == 'done' then
        if (c[2] and c[2] ~= '') or c[3] or c[4] then return key .. ' is ' .. c[1] .. ' and names a run' end
        if c[1] == 'parked' and not c[6] then return key .. ' is parked without a hop' end
    else
        return key .. ' is ' .. tostring(c[1])
    end
    local has_record = call('EXISTS', L .. 'o:' .. string.sub(key, #L + 3)) == 1
    if has_record ~= (c[1] == 'sealed') then return key .. ' is ' .. c[1] .. ', and its record otherwise' end
    if has_record and call('PTTL', L .. 'o:' .. string.sub(key, #L + 3)) < left then return key .. ' outlives its record' end
    if c[1] == 'running' and c[5] == led[2] then
        if runs[c[3]] then return 'two running claims under ' .. c[3] end
        runs[c[3]] = true
        if p[c[3]] and call('HGET', L .. 'p:' .. c[3], 'worker') ~= c[2] then
            return key .. ' is run by ' .. c[2] .. ', its permit names ' .. call('HGET', L .. 'p:' .. c[3], 'worker')
        end
    end
end
local is_rebuilt = led[1] == 'rebuilding'
if (led[3] and true or false) ~= is_rebuilt then return 'led is ' .. tostring(led[1]) .. ' and not whole' end
if not is_rebuilt and call('EXISTS', L .. 'said', L .. 'crew', L .. 'lock:rebuild') > 0 then return 'a rebuild left something' end
return ''
