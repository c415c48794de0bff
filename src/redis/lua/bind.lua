-- bind: worker, [job, permit, sandbox, mode, plan, horizon, until, run_until, adoption 0|1]...
--   -> [ok | superseded | superseded_permit | not_ready]...
-- Writes the sandbox's id into claim and permit, and moves their ends. adoption: the run that acquire handed over has gone
-- on for a lease, so that the crash which the take-over counted is none. Until then it stands (followed): a run that kills
-- whoever follows it would be taken over for ever.
--
-- Closes: a create that was answered after its claim had been taken over (the late one learns here that its sandbox
-- must go), and a permit that was pruned while its create was under way. It never makes a record that is not there:
-- a field written into a pruned permit would be a permit which no limit counts.
local worker = A[1]
local why, epoch = not_ready()

local function bind(at)
    if why then return 'not_ready' end
    local job, permit, sandbox, mode, plan = A[at], A[at + 1], A[at + 2], A[at + 3], A[at + 4]
    local J, P = L .. 'j:' .. job, L .. 'p:' .. permit
    local c = call('HMGET', J, 'state', 'owner', 'permit', 'taken', 'crashes')
    local is_mine = c[2] == worker and c[3] == permit and (c[1] == 'running' or c[1] == 'sealed')
    local has_permit = call('HGET', P, 'worker') == worker
    if has_permit then
        call('HSET', P, 'sandbox', sandbox)
        call('ZADD', L .. 'p', 'XX', 'GT', now + tonumber(A[at + 5]), permit)
    end
    if not is_mine then return superseded(worker, permit, c[1], c[2], c[3]) end
    if not has_permit then return 'superseded' end
    if c[1] == 'running' then
        call('HSET', J, 'sandbox', sandbox, 'mode', mode, 'plan', plan, 'until', now + tonumber(A[at + 6]), 'run_until',
             now + tonumber(A[at + 7]), 'epoch', epoch)
        local counted = c[5] and call('HMGET', J, 'counted', 'followed') or {} -- neither is there without a count of crashes
        local is_counted = counted[1] or counted[2]
        if is_counted or c[4] then call('HDEL', J, 'taken', 'counted', 'followed') end -- from now on whoever dies may have died of it
        if is_counted and A[at + 8] == '1' then
            call('HSET', J, 'crashes', math.max(0, tonumber(c[5]) - 1))
        elseif is_counted then
            call('HSET', J, 'followed', 1)
        end
    end
    return 'ok'
end

local answers = {}
for at = 2, #A, 9 do answers[#answers + 1] = answer_of(bind, at) end
return answers
