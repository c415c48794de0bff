-- seal: worker, [job, permit|'', payload, origin, status, record, until, place|'']...
--   -> [ok | superseded | superseded_permit | elsewhere | done | conflict | not_ready]...
-- Writes j: and o:.
--
-- Closes: two results of one job. A worker that was stopped and lost its claim in between, a second copy of the
-- record that is expired or corrupt, a cancel that races the run: whoever seals first has made the verdict, and
-- only bytes that were sealed are ever published. Asked again with the same bytes (a lost answer) it is ok again.
local worker = A[1]
local why, epoch = not_ready()

local function seal(at)
    if why then return 'not_ready' end
    local job, permit, payload, origin = A[at], A[at + 1], A[at + 2], A[at + 3]
    local status, record, place = A[at + 4], A[at + 5], A[at + 7]
    local J, O = L .. 'j:' .. job, L .. 'o:' .. job
    local c = call('HMGET', J, 'state', 'owner', 'permit', 'payload', 'origin', 'moved')
    local state = c[1]
    if c[4] and c[4] ~= payload then return 'conflict' end
    if state == 'done' then return 'done' end
    local is_mine = c[2] == worker and c[3] == permit
    if state == 'sealed' and is_mine then
        return call('GET', O) == record and 'ok' or 'elsewhere'
    end
    if permit ~= '' then
        if state ~= 'running' or not is_mine then return superseded(worker, permit, state, c[2], c[3]) end
    elseif state == 'running' or state == 'sealed' then
        call('HSET', J, 'watch', 1)
        return 'elsewhere'
    end
    call('HSET', J, 'state', 'sealed', 'status', status, 'until', now + tonumber(A[at + 6]), 'epoch', epoch)
    if not is_mine or not c[4] or not c[5] then -- else they stand there
        call('HSET', J, 'owner', worker, 'permit', permit, 'payload', payload, 'origin', c[5] or origin)
    end
    call('HDEL', J, 'taken', 'counted', 'place')
    -- Where the record stands in whose transaction the result will be; one that a copy took over has none: see moved.
    if place ~= '' and not string.find(' ' .. (c[6] or '') .. ' ', ' ' .. place .. ' ', 1, true) then
        call('HSET', J, 'place', place)
    end
    keep(job, record)
    return 'ok'
end

local answers = {}
for at = 2, #A, 8 do answers[#answers + 1] = answer_of(seal, at) end
return answers
