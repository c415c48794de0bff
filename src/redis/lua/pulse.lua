-- pulse: worker, lease, since (ms since the sending of its last accepted pulse, -1: none), [permit, horizon]...
--   -> state (ready | rebuilding | doubt), epoch, lapsed 0|1, [permits that do not name the worker], [cancelled jobs]
-- Writes led, w, p (only later), x:. A horizon of 0 asks whose the permit is; a lease of 0 gives the lease back.
--
-- Closes: a server that comes back with an old snapshot, empty, or as a lagging replica (its run_id differs), and
-- a stepped clock, both of which would free permits whose sandboxes live; and the mass take-over after an outage
-- for everybody (hold: nobody is taken over for one lease after a gap).
-- A pulse may have lain in the socket of a frozen server: then the gap is real, but `since`, measured at its
-- sending, does not explain it. Such a pulse moves nothing and answers `doubt`; the same worker's next one, sent
-- after that answer, explains the gap or proves that the clock was stepped. Nothing is granted in between, because
-- clk stands.
local LEASE = 30000
local worker, lease, since = A[1], tonumber(A[2]), tonumber(A[3])
local led = call('HMGET', L .. 'led', 'run', 'state', 'epoch', 'clk', 'doubt', 'fresh')
local run, state, epoch, clk, doubt = led[1], led[2], led[3], tonumber(led[4] or 0), led[5]

if lease <= 0 then
    call('ZREM', L .. 'w', worker)
    return {state or 'rebuilding', epoch or '', 0, {}, {}}
end

local server = string.match(call('INFO', 'server'), 'run_id:(%w+)')
local lease_end = call('ZSCORE', L .. 'w', worker)
local gap = now - clk
local lost = run ~= server or gap < -1000

if not lost and gap > GAP then
    if since < 0 then
        -- Nobody who knows the time has looked. Without a permit there is nothing that a wrong clock could free.
        lost = call('ZCARD', L .. 'p') > 0
    elseif gap > since + 5000 then
        local who, at = string.match(doubt or '', '^(%S+) (%d+)$')
        if who == worker or (who and now - tonumber(at) > 5000) then
            lost = true
        else
            if not who then call('HSET', L .. 'led', 'doubt', worker .. ' ' .. now) end
            state = 'doubt'
        end
    end
    if not lost and state ~= 'doubt' then
        call('HSET', L .. 'led', 'hold', now + LEASE)
        call('HDEL', L .. 'led', 'doubt')
    end
end

if lost then
    -- A ledger that never was needs less care than one that was lost: see ready.
    local fresh = (not run and since < 0 and call('ZCARD', L .. 'p') == 0) and 1 or 0
    state, epoch = 'rebuilding', string.format('%.0f', now) .. '-' .. worker
    call('HSET', L .. 'led', 'run', server, 'state', state, 'epoch', epoch, 'hold', now + LEASE, 'since', now,
         'fresh', fresh)
    call('HDEL', L .. 'led', 'doubt')
elseif led[6] == '1' and since >= 0 and not lease_end then
    call('HSET', L .. 'led', 'fresh', 0) -- somebody remembers a ledger before this one
end

local lapsed = 0
if (lease_end and tonumber(lease_end) <= now) or (not lease_end and since >= 0) then lapsed = 1 end
if state ~= 'doubt' then
    call('HSET', L .. 'led', 'clk', now)
    call('ZADD', L .. 'w', now + lease, worker)
    call('ZREMRANGEBYSCORE', L .. 'w', '-inf', now - 3600000)
end

local not_mine = {}
for i = 4, #A, 2 do
    if call('HGET', L .. 'p:' .. A[i], 'worker') == worker then
        call('ZADD', L .. 'p', 'XX', 'GT', now + tonumber(A[i + 1]), A[i])
    else
        not_mine[#not_mine + 1] = A[i]
    end
end

local cancelled = call('SMEMBERS', L .. 'x:' .. worker)
if #cancelled > 0 then call('DEL', L .. 'x:' .. worker) end
return {state, epoch or '', lapsed, not_mine, cancelled}
