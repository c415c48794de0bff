-- look: job, with_waits 0|1 -> state | none, owner, permit, sandbox, mode, status, origin, alive 0|1, cancelled 0|1, hop, attempt, crashes,
--              until left|-1, run_until left|-1, partition|-1, offset|-1, limit at which its tenant waits|'', for how long
-- Writes nothing. With waits it is for people: it looks at the waiters of every limit that is in use.
local job, with_waits = A[1], A[2] == '1'
local c = fields(L .. 'j:' .. job, 'state', 'owner', 'permit', 'sandbox', 'mode', 'status', 'origin', 'cancel', 'hop',
                 'attempt', 'crashes', 'until', 'run_until', 'partition', 'offset')
local function left(at) return at and math.max(0, tonumber(at) - now) or -1 end

local waits_at, waits = '', 0
local function look_at_waiters()
    local limits, tenant = {g = true}, string.match(job, '^[^/]*')
    for _, permit in ipairs(call('ZRANGE', L .. 'p', 0, -1)) do
        for name in string.gmatch(call('HGET', L .. 'p:' .. permit, 'limits') or '', '%S+') do limits[name] = true end
    end
    for _, key in ipairs({'lim', 'cut'}) do
        for _, name in ipairs(call('HKEYS', L .. key)) do limits[name] = true end
    end
    local last_seen = 0
    for name in pairs(limits) do
        local q = call('HGETALL', L .. 'q:' .. name)
        for i = 1, #q, 2 do
            local since, seen = string.match(q[i + 1], '^(%d+):(%d+):')
            if string.match(q[i], '^(.*)|') == tenant and seen and tonumber(seen) >= now - FRESH and
                (waits_at == '' or now - tonumber(since) > waits or
                 (now - tonumber(since) == waits and tonumber(seen) > last_seen)) then
                waits_at, waits, last_seen = name, math.max(0, now - tonumber(since)), tonumber(seen)
            end
        end
    end
end
if with_waits then look_at_waiters() end
return {c.state or 'none', c.owner or '', c.permit or '', c.sandbox or '', c.mode or '', c.status or '', c.origin or '',
        is_alive(c.owner) and 1 or 0, c.cancel and 1 or 0, tonumber(c.hop or 0), tonumber(c.attempt or 0),
        tonumber(c.crashes or 0), left(c['until']), left(c.run_until), tonumber(c.partition or -1),
        tonumber(c.offset or -1), waits_at, waits}
