-- acquire: worker, [job, payload, origin, hop, tenant, weight, permit, horizon, until, rate, burst, warm|'', place|'',
--          count, count x (limit, max) in the order s n t c g; r:<class> gives places kept for a class, counts nothing itself]...
--   -> [granted permit attempt crashes wait began | denied limit used max retry | not_ready why | elsewhere owner
--    | adopt permit sandbox mode plan attempt crashes run_left | sealed record permit sandbox place
--    | done status origin partition offset | stale | cancelled | conflict]...
-- Writes j:, and for a grant p, p:, l:, rate; a denial writes the caller's entry in q:. Drops there what is stale, and tells
-- who comes first, or next, at a place that is free.
--
-- Closes: claim and permit in one step (neither without the other); a lost answer (the same permit asked again is
-- granted again); a claim that its owner forgot (anybody has it after `until`); a claim that an old snapshot brought
-- back (it was written in an earlier epoch: its owner, had it lived and held it, would have asserted it); a worker that
-- takes the very place which it just freed, over and over (waiters are served by rank, not by who asks first); waiters
-- that keep each other from free places (a wait has one beginning at all limits, so ranks have one order at all of them); a
-- place that nobody takes because its waiter was not told (whoever is turned away for it tells it again).
local BOOK = 1000
local UNLIMITED = 20000 -- what a rate without limit counts as, creates per 1000 s: see slower
local worker = A[1]
local why, epoch = not_ready()
local is_tuned -- nil: not looked yet
local is_pruned = false

-- Permits whose horizon has passed: the sandbox is dead by then, that is what a horizon says.
local function prune()
    while not is_pruned do
        local old = call('ZRANGEBYSCORE', L .. 'p', '-inf', now, 'LIMIT', 0, 100)
        is_pruned = #old == 0
        if not is_pruned then drop(old) end
    end
end

local function end_of(at)
    return at + 14 + 2 * tonumber(A[at + 13])
end

local function acquire(at)
    if why then return {'not_ready', why} end
    local job, payload, origin, hop = A[at], A[at + 1], A[at + 2], tonumber(A[at + 3])
    local tenant, weight, permit = A[at + 4], tonumber(A[at + 5]), A[at + 6]
    local horizon, claim_life, rate, burst = tonumber(A[at + 7]), tonumber(A[at + 8]), tonumber(A[at + 9]), tonumber(A[at + 10])
    local warm, own_place = A[at + 11], A[at + 12]

    -- The claim.
    local J = L .. 'j:' .. job
    local record, c = call('HGETALL', J), {} -- of a new job it is empty, which costs less than to ask for each field
    for i = 1, #record, 2 do c[record[i]] = record[i + 1] end
    local state, attempt, crashes = c.state, tonumber(c.attempt or 0), tonumber(c.crashes or 0)
    local began = c.began and 1 or 0

    local function taken_over()
        if state == 'sealed' then
            -- Of an earlier epoch: what was published is done by now, the results have been read back.
            local place = c.epoch == epoch and c.place or ''
            if place == '' and own_place ~= '' then call('HSET', J, 'place', own_place) end -- the caller publishes it
            return {'sealed', call('GET', L .. 'o:' .. job) or '', c.permit or '', c.sandbox or '', place}
        end
        local left = c.run_until and math.max(0, tonumber(c.run_until) - now) or 0
        return {'adopt', c.permit, c.sandbox or '', c.mode or '', c.plan or '', attempt, crashes, left}
    end

    if c.payload and c.payload ~= payload then return {'conflict'} end
    if state == 'done' then
        return {'done', c.status or '', c.origin or '', tonumber(c.partition or -1), tonumber(c.offset or -1)}
    end
    if state == 'parked' and hop < tonumber(c.hop or 0) then return {'stale'} end
    if state == 'running' or state == 'sealed' then
        if c.owner == worker and c.taken == permit then -- the answer was lost
            call('HSET', J, 'until', now + claim_life, 'epoch', epoch)
            return taken_over()
        end
        local is_again = state == 'running' and c.owner == worker and c.permit == permit and not c.sandbox
        if is_again and call('EXISTS', L .. 'p:' .. permit) == 1 then
            -- Granted, the answer lost. The grant counts from this asking, and so do its ends.
            call('ZADD', L .. 'p', 'XX', 'GT', now + BOOK + horizon, permit)
            call('HSET', J, 'until', now + BOOK + claim_life, 'epoch', epoch)
            local born = tonumber(call('HGET', L .. 'p:' .. permit, 'born'))
            return {'granted', permit, attempt, crashes, math.max(0, BOOK - (now - born)), began}
        elseif is_again then
            attempt = attempt - 1 -- granted so long ago that the permit is over: once more through the limits
        else
            -- hold stands above all else: in an outage for everybody leases lapse and the ends of living claims pass.
            local is_over = c.epoch ~= epoch or tonumber(c['until']) <= now
            local hold = tonumber(call('HGET', L .. 'led', 'hold') or 0)
            if c.owner ~= '' and (now < hold or (not is_over and (c.owner == worker or is_alive(c.owner)))) then
                call('HSET', J, 'watch', 1)
                return {'elsewhere', c.owner}
            end
            call('HSET', J, 'owner', worker, 'until', now + claim_life, 'taken', permit, 'epoch', epoch)
            keep(job)
            if not c.payload then call('HSET', J, 'payload', payload, 'origin', c.origin or origin) end
            if state == 'running' then
                -- The permit of a sealed claim keeps its name: its sandbox is for its old worker or the reaper to end.
                -- job: a permit that was asserted without it would not lead the reaper to its claim.
                if call('EXISTS', L .. 'p:' .. c.permit) == 1 then
                    call('HSET', L .. 'p:' .. c.permit, 'worker', worker, 'job', job)
                end
                -- taken: nobody has begun since it was taken over last. The crash that was counted then is still this one.
                if c.owner ~= '' and c.owner ~= worker and not c.taken then
                    crashes = call('HINCRBY', J, 'crashes', 1)
                    call('HSET', J, 'counted', 1) -- until bind says that the run goes on
                end
                if c.cancel then note_cancel(worker, job) end
            end
            return taken_over()
        end
    end
    if c.cancel then return {'cancelled'} end

    prune()
    local old_limits
    if warm ~= '' then
        local p = call('HMGET', L .. 'p:' .. warm, 'worker', 'limits')
        if p[1] ~= worker then return {'denied', 'warm', 0, 0, 0} end
        old_limits = p[2]
    end

    local named, maxima = {}, {}
    for i = at + 14, end_of(at) - 1, 2 do
        named[#named + 1] = A[i]
        maxima[A[i]] = tonumber(A[i + 1])
    end

    -- An operator's value replaces the caller's; a cut lowers either until its end. Most ledgers have neither.
    if is_tuned == nil then is_tuned = call('EXISTS', L .. 'lim', L .. 'cut', L .. 'rate') > 0 end
    if is_tuned and #named > 0 then
        local replaced, cuts = call('HMGET', L .. 'lim', unpack(named)), call('HMGET', L .. 'cut', unpack(named))
        for i, limit in ipairs(named) do
            local max = tonumber(replaced[i]) or maxima[limit]
            if cuts[i] then
                local to, ends = string.match(cuts[i], '^(%d+):(%d+)$')
                if ends and tonumber(ends) > now then max = math.min(max, tonumber(to)) else call('HDEL', L .. 'cut', limit) end
            end
            maxima[limit] = max
        end
    end

    local limits, class, unmet, unmet_all = {}, '', {}, 0
    for i = 1, #named do
        local limit, kind = named[i], string.sub(named[i], 1, 2)
        if kind == 'r:' then
            local name = string.sub(limit, 3)
            unmet[name] = math.max(0, maxima[limit] - call('SCARD', L .. 'l:c:' .. name))
            unmet_all = unmet_all + unmet[name]
        else
            limits[#limits + 1] = limit
            if kind == 'c:' then class = string.sub(limit, 3) end
        end
    end

    -- Places that others may take, because they rank before `mine`, and the first of all. A waiter whose class is kept out by
    -- another's reserve is no rival: otherwise it and the class with the reserve would keep each other from the last places.
    local function rivals(waiters, mine, free_for)
        local count, by_class, standing = 0, {}, {mine}
        for _, waiter in ipairs(waiters) do
            standing[#standing + 1] = waiter
            if ranks_before(waiter, mine) then by_class[waiter.class] = (by_class[waiter.class] or 0) + 1 end
        end
        for its_class, n in pairs(by_class) do count = count + math.min(n, math.max(0, free_for(its_class))) end
        return count, first_of(standing, free_for)
    end

    local function others_at(name)
        local others = {}
        for _, waiter in ipairs(waiters_at(name)) do
            if waiter.tenant ~= tenant or waiter.worker ~= worker then others[#others + 1] = waiter end
        end
        return others
    end

    local me = tenant .. '|' .. worker
    local queues = {}
    for i = 1, #limits do queues[i] = L .. 'q:' .. limits[i] end
    local is_queue = #queues > 0 and call('EXISTS', unpack(queues)) > 0
    local own, since, mine = {}, now, nil
    for i, Q in ipairs(is_queue and queues or {}) do
        own[i] = call('HGET', Q, me)
        local began, seen = string.match(own[i] or '', '^(%d+):(%d+):')
        if seen and tonumber(seen) >= now - FRESH then since = math.min(since, tonumber(began)) end
    end

    local registered, next_ones = {}, {}
    for i = 1, #limits do
        local name, Q = limits[i], queues[i]
        local max, used = maxima[name], call('SCARD', L .. 'l:' .. name)
        -- Nobody waits, and there is a place: most askings. A sandbox that is there already has its own.
        local is_plain = not is_queue and unmet_all == 0 and max > used
        if not is_plain and (warm == '' or call('SISMEMBER', L .. 'l:' .. name, warm) == 0) then
            mine = mine or {tenant = tenant, worker = worker, began = since, seen = now, told = 0, weight = weight, class = class,
                            share = is_queue and held_by(tenant) / weight or 0}
            local function free_for(its_class)
                if name ~= 'g' then return max - used end
                return max - (unmet_all - (unmet[its_class] or 0)) - used
            end
            local free, ahead, first, waiters = free_for(class), 0, mine, {}
            if max > used and is_queue and call('HLEN', Q) > 0 then
                waiters = others_at(name)
                ahead, first = rivals(waiters, mine, free_for)
            end
            if ahead >= free then
                put_waiter(name, mine)
                call('PEXPIRE', Q, 60000)
                if first and first ~= mine and first.told == 0 then tell_turn(name, first) end
                return {'denied', name, used, used + free, 250}
            end
            if own[i] then registered[#registered + 1] = Q end
            if #waiters > 0 and max - used > 1 then
                next_ones[#next_ones + 1] = function()
                    tell_next(name, waiters, function(its_class) return free_for(its_class) - 1 end)
                end
            end
        end
    end

    -- The bucket books: first come, first served, and nobody polls for a wait below a second.
    local wait = 0
    if warm == '' and (is_tuned or rate > 0) then
        local r = call('HMGET', L .. 'rate', 'tat', 'milli', 'cut', 'rest')
        if r[2] then -- halved by a 429 once; 10 % come back every 10 s
            local back = tonumber(r[2]) * 1.1 ^ math.floor((now - tonumber(r[3])) / 10000)
            if back >= (rate > 0 and rate or UNLIMITED) then call('HDEL', L .. 'rate', 'milli', 'cut') else rate = back end
        end
        local step = rate > 0 and 1000000 / rate or 0
        local tat, at_once, rest = math.max(tonumber(r[1] or 0), now), (math.max(burst, 1) - 1) * step, tonumber(r[4] or 0)
        if rest > now then tat = math.max(tat, rest + at_once) end -- whoever asks for a rest shall not meet a burst at its end
        wait = math.max(0, math.ceil(tat - now - at_once))
        if wait > BOOK then return {'denied', 'rate', 0, math.floor(rate), wait - BOOK} end
        if step > 0 then call('HSET', L .. 'rate', 'tat', string.format('%.3f', tat + step)) end
        is_tuned = is_tuned or step > 0
    end
    if warm ~= '' then permit = warm end

    for _, Q in ipairs(registered) do call('HDEL', Q, me) end
    attempt = attempt + 1
    call('HSET', J, 'state', 'running', 'owner', worker, 'permit', permit, 'payload', payload, 'origin', origin, 'hop', hop,
         'attempt', attempt, 'until', now + wait + claim_life, 'epoch', epoch)
    if state then call('HDEL', J, 'sandbox', 'mode', 'plan', 'run_until', 'taken', 'counted', 'followed') end
    call('PEXPIRE', J, WEEK)
    local all, has = limits, {}
    if old_limits then
        all = {old_limits}
        for name in string.gmatch(old_limits, '%S+') do has[name] = true end
        for _, limit in ipairs(limits) do
            if not has[limit] then all[#all + 1] = limit end
        end
    end
    for i = 1, #limits do call('SADD', L .. 'l:' .. limits[i], permit) end
    call('ZADD', L .. 'p', 'GT', now + wait + horizon, permit)
    local P, born = L .. 'p:' .. permit, old_limits and {} or {'born', now}
    call('HSET', P, 'worker', worker, 'job', job, 'limits', table.concat(all, ' '), 'epoch', epoch, unpack(born))
    held[tenant] = nil
    if (unmet[class] or 0) > 0 then
        unmet[class], unmet_all = unmet[class] - 1, unmet_all - 1 -- its place is one of those that were kept
    end
    for _, tell in ipairs(next_ones) do tell() end
    return {'granted', permit, attempt, crashes, wait, began}
end

local answers, at = {}, 2
while at <= #A do
    answers[#answers + 1] = answer_of(acquire, at)
    at = end_of(at)
end
return answers
