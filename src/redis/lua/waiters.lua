-- Waiters: whose turn it is at a limit. Stands behind the prelude of acquire and release alone: what a script defines, Redis
-- makes anew for each call, and the others are called as often.
local TOLD = 100 -- whoever was told so lately is on its way; who was told and did not come has no turn until it asks
local held = {} -- by tenant; there are as many waiters of a tenant as workers have its jobs

local function held_by(tenant)
    held[tenant] = held[tenant] or call('SCARD', L .. 'l:n:' .. tenant)
    return held[tenant]
end

-- By what a tenant holds for its weight, then by how long it has waited: one order at all limits.
local function ranks_before(waiter, other)
    return waiter.share < other.share or (waiter.share == other.share and waiter.began < other.began)
end

local function put_waiter(limit, waiter)
    call('HSET', L .. 'q:' .. limit, waiter.tenant .. '|' .. waiter.worker, string.format('%.0f:%.0f:%.0f:%d:%s', waiter.began,
         waiter.seen, waiter.told, waiter.weight, waiter.class))
end

-- Those who wait at a limit, in no order, but for those who did not come; drops who is not there any more.
local function waiters_at(limit)
    local Q, waiters = L .. 'q:' .. limit, {}
    local q = call('HGETALL', Q)
    for i = 1, #q, 2 do
        local began, seen, told, weight, class = string.match(q[i + 1], '^(%d+):(%d+):(%d+):(%d+):(.*)$')
        seen = tonumber(seen)
        if not seen or seen < now - FRESH or seen > now then
            call('HDEL', Q, q[i])
        else
            local tenant, worker = string.match(q[i], '^(.*)|([^|]*)$')
            weight = tonumber(weight)
            told = tonumber(told)
            if told == 0 or told > now - TOLD then
                waiters[#waiters + 1] = {tenant = tenant, worker = worker, began = tonumber(began), seen = seen, told = told,
                                         weight = weight, class = class, share = held_by(tenant) / weight}
            end
        end
    end
    return waiters
end

-- free_for: places by class, nil: any. nil: nobody may have one.
local function first_of(waiters, free_for)
    local first
    for _, waiter in ipairs(waiters) do
        if (not first or ranks_before(waiter, first)) and (not free_for or free_for(waiter.class) > 0) then first = waiter end
    end
    return first
end

-- A place is free, and it is this waiter's: nobody else need ask. A hint that is refused undoes nothing.
local function tell_turn(limit, waiter)
    waiter.told = now
    put_waiter(limit, waiter)
    redis.pcall('PUBLISH', L .. 'ev:' .. waiter.worker, 'turn ' .. limit .. ' ' .. waiter.tenant)
end

-- One more place is free than those will take who have been told: they count as if they had theirs. Returns: whether
-- somebody was told.
local function tell_next(limit, waiters, free_for)
    local promised, untold = {}, {}
    for _, waiter in ipairs(waiters) do
        if waiter.told > 0 then
            promised[waiter.tenant] = (promised[waiter.tenant] or 0) + 1
        else
            untold[#untold + 1] = waiter
        end
    end
    for _, waiter in ipairs(untold) do
        waiter.share = (held_by(waiter.tenant) + (promised[waiter.tenant] or 0)) / waiter.weight
    end
    local first = first_of(untold, free_for)
    if first then tell_turn(limit, first) end
    return first ~= nil
end
