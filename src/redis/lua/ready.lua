-- ready: worker, listed (sandboxes of this ledger) -> ok | later
-- Writes led, lock:rebuild, and drops permits. The caller vouches that results are read back, and that everything that
-- E2B lists of this ledger, twice, was asserted.
--
-- Closes: grants beside sandboxes that are not counted. What lives is on E2B's list; what does not live yet is a create
-- under way. That of a worker that lives is asserted by it. That of a worker which died, or is cut off from here, is
-- asserted by nobody, and shows on the list only once it was carried out, which may take 120 s from its grant: LATE.
-- So it is needed to know who was there, which an emptied Redis does not, nor does an old snapshot. The workers do:
-- each brings the list of all that it saw in the ledger (asserted), those that went lately included.
--   - Every worker with a lease has asserted, always: a lease means that it is there, or may have been just now.
--   - Everybody whom the workers remember has asserted: 5 s, for reconnects and for what is carried out meanwhile.
--   - Somebody is missing: LATE, after that its creates are over, and what they made is on the list.
--   - Nobody remembers anything, Redis does not either, and E2B lists nothing: there was no ledger. 5 s.
--   - Nobody remembers anything, and something is listed, or Redis remembers a ledger: LATE.
-- Not covered is a worker that nobody else saw: it came within a pulse (3 s) before the loss, died in it, and its create
-- was carried out later than 5 s after.
-- After that the permits of earlier epochs stand for nothing. Nobody is taken over for one lease: whoever came late, or
-- waits to seal, shall not find its claim with another.
local QUIET, LEASE = 5000, 30000
local worker, listed = A[1], tonumber(A[2])
local led = fields(L .. 'led', 'state', 'clk', 'since', 'fresh', 'epoch')
if led.state == 'ready' then return 'ok' end
if led.state ~= 'rebuilding' or now - tonumber(led.clk) > GAP or now < tonumber(led.clk) - 1000 then return 'later' end

local lock, since = L .. 'lock:rebuild', tonumber(led.since)
if not call('SET', lock, worker, 'NX', 'PX', 10000) then
    if call('GET', lock) ~= worker then return 'later' end
    call('PEXPIRE', lock, 10000)
end
local is_known = call('EXISTS', L .. 'crew') == 1 or (led.fresh == '1' and listed == 0)
if now - since < (is_known and QUIET or LATE) or count_missing(since) > 0 then return 'later' end

for _, permit in ipairs(call('ZRANGE', L .. 'p', 0, -1)) do
    if call('HGET', L .. 'p:' .. permit, 'epoch') ~= led.epoch then drop(permit) end
end
call('HSET', L .. 'led', 'state', 'ready', 'hold', now + LEASE)
call('HDEL', L .. 'led', 'fresh', 'since', 'behind')
call('DEL', lock, L .. 'said', L .. 'crew')
return 'ok'
