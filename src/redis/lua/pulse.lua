-- pulse: worker, lease, since (ms since the sending of its last accepted pulse, -1: none), crew (the last list that it
--        was told, '' none), [permit, horizon]...
--   -> state (ready | rebuilding | doubt), epoch, lapsed 0|1, [permits that name another], [permits that are not there],
--      [cancelled jobs], crew, [worker, for how long its creates may yet come | -1: it is alive]... unless the caller
--      knows this list
-- pulse: worker, 0 | -1 -> ok: the lease goes back; -1: of a worker whose permits stay.
-- Writes led, w, p (only later), x:. A horizon of 0 asks whose the permit is.
--
-- Closes: a server that comes back with an old snapshot, empty, or as a lagging replica (its run_id differs), and
-- a stepped clock, all of which would free permits whose sandboxes live: a new epoch begins, and the ledger is rebuilt.
-- A permit that was written in an earlier epoch is not there until it was asserted. And the mass take-over after an
-- outage for everybody (hold: nobody is taken over for one lease after a gap).
-- A pulse may have lain in the socket of a frozen server: then the gap is real, but `since`, measured at its
-- sending, does not explain it. Such a pulse moves nothing and answers `doubt`; the same worker's next one, sent
-- after that answer, explains the gap or proves that the clock was stepped. Nothing is granted in between, because
-- clk stands.
-- Every worker remembers who the others are, and who went lately: an emptied Redis does not know whose creates may be
-- under way, and they do (see ready).
local worker, lease, since, crew = A[1], tonumber(A[2]), tonumber(A[3]), A[4]

if lease <= 0 then
    if lease == 0 then
        call('ZREM', L .. 'w', worker)
        call('HINCRBY', L .. 'led', 'crew', 1)
        if call('HGET', L .. 'led', 'state') == 'rebuilding' then call('SADD', L .. 'said', worker) end
    else
        call('ZADD', L .. 'w', 'XX', 'LT', now, worker)
    end
    return 'ok'
end

local led = fields(L .. 'led', 'run', 'state', 'epoch', 'clk', 'doubt', 'fresh', 'since', 'behind')
local run, state, epoch, clk = led.run, led.state, led.epoch, tonumber(led.clk or 0)
local server = string.match(call('INFO', 'server'), 'run_id:(%w+)')
local lease_end = tonumber(call('ZSCORE', L .. 'w', worker) or nil)
local gap = now - clk
local lost = run ~= server or gap < -1000

if not lost and gap > GAP then
    if since < 0 then
        -- Nobody who knows the time has looked. Without a permit there is nothing that a wrong clock could free.
        lost = call('ZCARD', L .. 'p') > 0
    elseif gap > since + 5000 then
        local who, at = string.match(led.doubt or '', '^(%S+) (%d+)$')
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
    local fresh = (not run and crew == '' and call('ZCARD', L .. 'p') == 0) and 1 or 0
    -- How far what is in here lies behind: since the last pulse, or since a rebuild that did not end.
    local behind = run and math.max(0, gap) or -1
    if run and state == 'rebuilding' then
        local before = tonumber(led.behind)
        behind = before < 0 and -1 or math.max(0, now - tonumber(led.since)) + before
    end
    state, epoch = 'rebuilding', time[1] .. '.' .. time[2] .. '-' .. worker -- no two in one microsecond
    call('HSET', L .. 'led', 'run', server, 'state', state, 'epoch', epoch, 'hold', now + LEASE, 'since', now,
         'fresh', fresh, 'behind', behind)
    call('HDEL', L .. 'led', 'doubt')
    call('DEL', L .. 'said', L .. 'crew', L .. 'lock:rebuild')
    -- What a clock that was set back would make last: leases, cuts, the bucket's bookings.
    call('DEL', L .. 'rate', L .. 'cut')
    local far = string.format('%.0f', now + LEASE)
    for _, name in ipairs(call('ZRANGEBYSCORE', L .. 'w', '(' .. far, '+inf')) do call('ZADD', L .. 'w', far, name) end
elseif led.fresh == '1' and crew ~= '' then
    call('HSET', L .. 'led', 'fresh', 0) -- somebody remembers a ledger before this one
end

local lapsed = 0
if (lease_end and lease_end <= now) or (not lease_end and since >= 0) then lapsed = 1 end
local workers = {}
if state ~= 'doubt' then
    call('HSET', L .. 'led', 'clk', now)
    call('ZADD', L .. 'w', now + lease, worker)
    local over = call('ZREMRANGEBYSCORE', L .. 'w', '-inf', now - AFTER)
    if not lease_end or over > 0 then call('HINCRBY', L .. 'led', 'crew', 1) end
    if state == 'ready' then
        local list = epoch .. ':' .. call('HGET', L .. 'led', 'crew') .. ':' .. call('ZCOUNT', L .. 'w', '-inf', now)
        if list ~= crew then
            crew = list
            local ends = call('ZRANGE', L .. 'w', 0, -1, 'WITHSCORES')
            for i = 1, #ends, 2 do
                local left = tonumber(ends[i + 1]) - now
                workers[#workers + 1] = ends[i]
                workers[#workers + 1] = left > 0 and -1 or left + AFTER
            end
        end
    end
end

local others, gone = {}, {}
for i = 5, #A, 2 do
    local p = call('HMGET', L .. 'p:' .. A[i], 'worker', 'epoch')
    -- What the leader of a rebuild asserted as nobody's is its owner's to assert yet.
    if not p[1] or p[2] ~= epoch or (p[1] == '' and state == 'rebuilding') then
        gone[#gone + 1] = A[i]
    elseif p[1] ~= worker then
        others[#others + 1] = A[i]
    else
        call('ZADD', L .. 'p', 'XX', 'GT', now + tonumber(A[i + 1]), A[i])
    end
end

-- Told until its claim shows that the worker heard of it: this answer may be lost, or thrown away (doubt).
local cancelled, X = {}, L .. 'x:' .. worker
for _, job in ipairs(state ~= 'doubt' and call('SMEMBERS', X) or {}) do
    local c = call('HMGET', L .. 'j:' .. job, 'state', 'owner')
    if c[1] == 'running' and c[2] == worker then cancelled[#cancelled + 1] = job else call('SREM', X, job) end
end
return {state, epoch or '', lapsed, others, gone, cancelled, crew, workers}
