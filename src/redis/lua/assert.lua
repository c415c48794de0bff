-- assert: worker, mine|nobodys, permit|'', horizon, sandbox|'', limits, job|'', payload|'', origin|'', mode, plan, hop,
--         attempt, crashes, until, run_until, status|'' (running), record, place|''
--   -> ok | superseded_permit (nothing was written) | superseded | elsewhere | done (the permit was taken in, the claim
--      is not the caller's) | closed (the ledger is not being rebuilt)
-- Writes p, p:, l:, j:, o:, x:. With acquire the only one that makes permits; it counts, whatever the limits are.
--
-- Closes: sandboxes that live and are counted nowhere, and jobs that are forgotten by the ledger and not by those who
-- run them. The owner's word beats the leader's, who only knows what E2B lists, and anything that was written in an
-- earlier epoch: an old snapshot. Two owners of one job: a verdict beats a run, for it was sealed once already and its
-- bytes may be in Kafka; a later attempt beats an earlier one, for it was granted because the earlier one was over;
-- else the first one has it.
local worker, is_mine, permit, sandbox, job = A[1], A[2] == 'mine', A[3], A[5], A[7]
local hop, attempt, status, record = tonumber(A[12]), math.max(1, tonumber(A[13])), A[17], A[18]
local led = call('HMGET', L .. 'led', 'state', 'epoch')
if led[1] ~= 'rebuilding' then return 'closed' end
local epoch, owner = led[2], is_mine and worker or ''
local J, O = L .. 'j:' .. job, L .. 'o:' .. job
local c = job ~= '' and fields(J, 'state', 'owner', 'permit', 'epoch', 'attempt', 'hop', 'cancel') or {}

if permit ~= '' then
    local P = L .. 'p:' .. permit
    local p = fields(P, 'worker', 'epoch', 'job', 'limits', 'sandbox', 'born')
    local is_now = p.epoch == epoch
    if is_now and p.worker ~= owner and p.worker ~= '' then return 'superseded_permit' end
    if c.permit == permit and c.epoch == epoch and c.owner ~= '' and c.owner ~= owner then
        return 'superseded_permit' -- who runs it here and now has said that this sandbox is dead: the caller is late
    end
    if is_mine and p.job and p.job ~= '' and p.job ~= job then
        -- Its holder says that no claim goes with it: nobody shall adopt it.
        local other = fields(L .. 'j:' .. p.job, 'state', 'owner', 'permit', 'epoch')
        local is_free = other.owner == '' or other.owner == worker or other.epoch ~= epoch
        if other.state == 'running' and other.permit == permit and is_free then
            give_up(L .. 'j:' .. p.job, 'idle', DAY)
        end
    end
    local horizon, names, has = now + tonumber(A[4]), {}, {}
    if is_now then horizon = math.max(horizon, tonumber(call('ZSCORE', L .. 'p', permit))) end
    for name in string.gmatch(A[6] .. ' ' .. (p.limits or ''), '%S+') do
        if not has[name] then names[#names + 1] = name end
        has[name] = true
    end
    if p.worker then drop({permit}) end
    for _, name in ipairs(names) do call('SADD', L .. 'l:' .. name, permit) end
    call('ZADD', L .. 'p', horizon, permit)
    call('HSET', P, 'worker', owner, 'job', job ~= '' and job or not is_mine and p.job or '', 'limits',
         table.concat(names, ' '), 'born', p.born or now, 'epoch', epoch)
    sandbox = sandbox ~= '' and sandbox or p.sandbox or ''
    if sandbox ~= '' then call('HSET', P, 'sandbox', sandbox) end
end
if job == '' then return 'ok' end

local is_now = c.epoch == epoch
local is_same = is_now and c.owner == owner and c.permit == permit
local refused = permit ~= '' and 'superseded' or 'elsewhere'
if c.state == 'done' then return 'done' end
if status ~= '' and c.state == 'sealed' and is_now then
    if c.owner == owner then return call('GET', O) == record and 'ok' or 'elsewhere' end
    return refused
elseif status == '' then
    if c.state == 'sealed' then return refused end
    if c.state == 'parked' and (not is_mine or hop < tonumber(c.hop or 0)) then return refused end
    if c.state == 'running' and is_now and not is_same then
        local is_stronger = is_mine and (c.owner == '' or attempt > tonumber(c.attempt or 0))
        if not is_stronger then return refused end
    end
    if not is_mine and c.state == 'running' and c.permit == permit then
        -- E2B's list knows less than what is written here: only its owner is not heard of.
        call('HSET', J, 'owner', '', 'epoch', epoch, 'until', now + tonumber(A[15]))
        call('HDEL', J, 'counted', 'followed')
        if sandbox ~= '' then call('HSET', J, 'sandbox', sandbox) end
        return 'ok'
    end
end

call('HSET', J, 'state', status == '' and 'running' or 'sealed', 'owner', owner, 'permit', permit, 'epoch', epoch, 'hop',
     hop, 'attempt', attempt, 'crashes', A[14], 'until', now + tonumber(A[15]))
call('HDEL', J, 'taken', 'counted', 'followed', 'sandbox', 'mode', 'plan', 'run_until', 'place')
if A[8] ~= '' then call('HSET', J, 'payload', A[8]) end
if A[9] ~= '' then call('HSET', J, 'origin', A[9]) end
if sandbox ~= '' then
    call('HSET', J, 'sandbox', sandbox, 'mode', A[10], 'plan', A[11], 'run_until', now + tonumber(A[16]))
end
if status ~= '' then
    call('HSET', J, 'status', status)
    if A[19] ~= '' then call('HSET', J, 'place', A[19]) end
    call('SET', O, record)
elseif c.cancel and is_mine then
    note_cancel(worker, job)
end
keep(job)
return 'ok'
