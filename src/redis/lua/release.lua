-- release: worker, [permit|'', job|'', idle|parked, hop, ttl, keep 0|1, uncount 0|1]... -> how many permits are gone
-- Writes j:, and drops the permit unless keep (a create in doubt keeps its place); tells who comes first at its limits.
--
-- Closes: a worker that was stopped and wakes after its sandbox was adopted must not free the adopter's place: the
-- permit must name the caller. In any state of the ledger: that a sandbox is dead stays true. What the leader of a
-- rebuild has asserted as nobody's, from a list that was older, is the caller's too.
-- parked: a copy of the record with this hop is in Kafka. That stays true as well, whatever became of the claim, so it
-- is written where nobody runs the job: an earlier copy that is read again is stale. In a rebuild nobody can know that
-- but who ran it: a run that is asserted after it would be void, and begin again.
local worker = A[1]
local function is_callers(owner)
    return owner == worker or (owner == '' and call('HGET', L .. 'led', 'state') == 'rebuilding')
end

local function release_claim(permit, job, to, hop, ttl, is_uncounted)
    local J = L .. 'j:' .. job
    local c = call('HMGET', J, 'state', 'owner', 'permit', 'attempt', 'hop')
    local is_mine = c[1] == 'running' and c[3] == permit and is_callers(c[2])
    if is_mine and is_uncounted then call('HSET', J, 'attempt', math.max(0, tonumber(c[4] or 0) - 1)) end
    local is_free = (not c[1] or c[1] == 'idle' or c[1] == 'parked') and not not_ready()
    if to == 'parked' and (is_mine or is_free) then
        call('HSET', J, 'hop', math.max(tonumber(hop), tonumber(c[5] or 0)))
        give_up(J, 'parked', ttl)
    elseif is_mine then
        give_up(J, 'idle', ttl)
    end
end

local gone, limits, is_gone = {}, {}, {} -- permits, and their limits by the same places
local function release_permit(permit)
    local p = call('HMGET', L .. 'p:' .. permit, 'worker', 'job', 'limits')
    if not is_callers(p[1]) or is_gone[permit] then return end
    if p[1] == '' and p[2] ~= '' then -- nor shall anybody adopt it
        local c = call('HMGET', L .. 'j:' .. p[2], 'state', 'owner', 'permit')
        if c[1] == 'running' and c[2] == '' and c[3] == permit then give_up(L .. 'j:' .. p[2], 'idle', DAY) end
    end
    gone[#gone + 1], limits[#gone + 1], is_gone[permit] = permit, p[3] or '', true
end

-- A waiter for each place. Where all have been told, there are more places than waiters: the first may have more jobs.
local function tell_waiters()
    local waiters, queues, freed = {}, {}, {}
    for name in string.gmatch(table.concat(limits, ' '), '%S+') do
        freed[#freed + 1] = name -- once for each place
        if not waiters[name] then
            waiters[name] = {}
            queues[#queues + 1] = L .. 'q:' .. name
        end
    end
    if #queues == 0 or call('EXISTS', unpack(queues)) == 0 then return end
    for name in pairs(waiters) do waiters[name] = waiters_at(name) end
    for _, name in ipairs(freed) do
        local first = not tell_next(name, waiters[name]) and first_of(waiters[name])
        if first then
            tell_turn(name, first)
            first.share = first.share + 1 / first.weight
        end
    end
end

local function release(at)
    if A[at + 1] ~= '' then release_claim(A[at], A[at + 1], A[at + 2], A[at + 3], A[at + 4], A[at + 6] == '1') end
    if A[at + 5] ~= '1' then release_permit(A[at]) end
end

local failure
for at = 2, #A, 7 do failure = answer_of(release, at) or failure end
if #gone > 0 then
    drop(gone, limits)
    tell_waiters()
end
return failure or #gone
