-- lead: worker -> leader 0|1, behind (ms from now to the last moment that is remembered, -1: none), missing
-- Writes lock:rebuild, for 10 s. It saves work and carries no safety.
local led = fields(L .. 'led', 'state', 'since', 'behind')
if led.state ~= 'rebuilding' then return {0, 0, 0} end
local lock, since, behind = L .. 'lock:rebuild', tonumber(led.since), tonumber(led.behind)
local leads = call('SET', lock, A[1], 'NX', 'PX', 10000) or call('GET', lock) == A[1]
if leads then call('PEXPIRE', lock, 10000) end
if behind >= 0 then behind = behind + math.max(0, now - since) end
return {leads and 1 or 0, behind, count_missing()}
