-- condemn: worker (the reaper), permit -> kill | keep | not_ready
-- Writes p: (it names the caller then) and j: (the run is given up).
--
-- Closes: a reaper with an old list, which would kill what was adopted since. A sandbox is kept while its permit's worker
-- lives, or the claim runs under it and may still be adopted (before `until`), or nobody is taken over (hold). A permit
-- that is not there is nobody's: its holder has lost it for good, and kills its sandbox too. The permit is taken along
-- with the answer, and the claim freed, so that nobody adopts what is about to be killed. And a run that is begun a second
-- time where that is forbidden: that it had a sandbox (began) is remembered, the sandbox is not.
local worker, permit = A[1], A[2]
local why = not_ready()
if why then return 'not_ready' end
local P = L .. 'p:' .. permit
local p = fields(P, 'worker', 'job', 'condemned')
if not p.worker then return 'kill' end
if p.condemned and p.worker == worker then return 'kill' end -- the answer was lost
local hold = tonumber(call('HGET', L .. 'led', 'hold') or 0)
if p.worker ~= '' and (now < hold or is_alive(p.worker)) then return 'keep' end
local J = L .. 'j:' .. (p.job or '')
local c = fields(J, 'state', 'owner', 'permit', 'until', 'sandbox', 'taken')
if c.state == 'running' and c.permit == permit then
    if tonumber(c['until']) > now then return 'keep' end
    if c.owner ~= '' and not c.taken then call('HINCRBY', J, 'crashes', 1) end
    give_up(J, 'idle', DAY)
    if c.sandbox then call('HSET', J, 'began', 1) end
end
call('HSET', P, 'worker', worker, 'condemned', 1)
return 'kill'
