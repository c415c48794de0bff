-- Stands in front of every script (one text, one SHA-1 each). KEYS[1] is the ledger's prefix "{e2b:<name>}:", so
-- that all keys of a ledger share one slot. Time is this server's own; callers send durations only, because their
-- clocks do not agree.
local L, A, call = KEYS[1], ARGV, redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local GAP = 10000 -- the ledger is unattended when no pulse came for so long
local LEASE = 30000
local LATE = 120000 -- creates from before a loss are over: grant 10 s + deadline 30 s + late execution 75 s
local AFTER = 110000 -- ... and of a worker so long after its lease: deadline + late execution
local FRESH = 3000 -- whoever has not asked for so long waits no more
-- Texts: Redis writes each number with printf.
local DAY = '86400000'
local WEEK = '604800000' -- a claim whose record nobody reads again: its worker died with the offset finished and `done` not sent
local LONGER = '604860000'

-- Nothing is granted, sealed or bound while the ledger is rebuilt, or while its clock stands unexplained: between
-- a jump of the clock and the next pulse every expiry in here may be wrong. Answers nil, or why not; and the epoch.
local function not_ready()
    local led = call('HMGET', L .. 'led', 'state', 'clk', 'epoch')
    if not led[1] then return 'the ledger is new: no worker has pulsed yet' end
    if led[1] ~= 'ready' then return 'the ledger is being rebuilt' end
    local clk = tonumber(led[2])
    if now - clk > GAP or now < clk - 1000 then return 'no worker has pulsed for 10 s' end
    return nil, led[3]
end

-- Fields of a hash, by name.
local function fields(key, ...)
    local values, named = call('HMGET', key, ...), {}
    for i, name in ipairs({...}) do named[name] = values[i] end
    return named
end

local function is_alive(worker)
    local ends = worker and worker ~= '' and call('ZSCORE', L .. 'w', worker)
    return ends and tonumber(ends) > now
end

-- The only way out for permits, some hundreds at most: all records go together, so that every l: stays a subset of p.
-- limits: of each, as its record has them, where the caller has read it.
local function drop(permits, limits)
    local records, members = {}, {}
    for i, permit in ipairs(permits) do
        records[i] = L .. 'p:' .. permit
        local names = limits and limits[i] or redis.pcall('HGET', records[i], 'limits') -- a foreign record keeps none from going
        for name in string.gmatch(type(names) == 'string' and names or '', '%S+') do
            local those = members[name] or {}
            members[name], those[#those + 1] = those, permit
        end
    end
    for name, those in pairs(members) do call('SREM', L .. 'l:' .. name, unpack(those)) end
    call('DEL', unpack(records))
    call('ZREM', L .. 'p', unpack(permits))
end

-- A claim that somebody runs or publishes, and its bytes, which it never outlives: what was sealed would be lost.
-- record: the bytes, where they are new.
local function keep(job, record)
    local O = L .. 'o:' .. job
    call('PEXPIRE', L .. 'j:' .. job, WEEK)
    if record then call('SET', O, record, 'PX', LONGER) else call('PEXPIRE', O, LONGER) end
end

-- A claim that nobody runs any more, free for the next attempt, or for a copy of its record.
local function give_up(J, state, ttl)
    call('HSET', J, 'state', state, 'owner', '')
    call('HDEL', J, 'permit', 'sandbox', 'mode', 'plan', 'until', 'run_until', 'taken', 'counted', 'followed',
         'epoch')
    call('PEXPIRE', J, ttl)
end

-- The owner of a cancelled job learns of it by its next pulse.
local function note_cancel(owner, job)
    call('SADD', L .. 'x:' .. owner, job)
    call('PEXPIRE', L .. 'x:' .. owner, 3600000)
end

-- What to tell a caller whose claim this is not. A permit that names another worker, or a claim that another runs
-- or publishes under this very permit: an adopter has the sandbox, and the caller must not touch it. Anything
-- else: the caller's sandbox is nobody's business but its own, and must go.
local function superseded(worker, permit, claim_state, claim_owner, claim_permit)
    local named = call('HGET', L .. 'p:' .. permit, 'worker')
    if named and named ~= worker then return 'superseded_permit' end
    if claim_permit == permit and claim_owner ~= worker and claim_state == 'running' then
        return 'superseded_permit'
    end
    return 'superseded'
end

-- One of several operations that a call asks for: those of one turn of a worker's loop come together. Its error is its own.
local function answer_of(operation, at)
    local is_done, answer = pcall(operation, at)
    if is_done then return answer end
    local why = answer
    if type(answer) == 'table' then why = answer.err .. ', script ' .. (answer.source or '') .. ':' .. (answer.line or '') end
    return {err = string.find(why, '^%u+ ') and why or 'ERR ' .. why}
end

-- Who must still say what it holds before a ledger that is rebuilt can be opened: see ready.
local function count_missing()
    local count, at = 0, '(' .. string.format('%.0f', now)
    for _, worker in ipairs(call('ZRANGEBYSCORE', L .. 'w', at, '+inf')) do
        count = count + 1 - call('SISMEMBER', L .. 'said', worker)
    end
    for _, worker in ipairs(call('ZRANGEBYSCORE', L .. 'crew', at, '+inf')) do
        if call('SISMEMBER', L .. 'said', worker) == 0 and not is_alive(worker) then count = count + 1 end
    end
    return count
end
