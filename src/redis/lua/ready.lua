-- ready: worker, epoch, listed (sandboxes of this ledger) -> ok | later
-- Writes led, lock:rebuild, and drops permits. The caller vouches that results are read back, and that everything that
-- E2B lists of this ledger, twice, was asserted.
--
-- Closes: grants beside sandboxes that are not counted. What lives is on E2B's list; what does not live yet is a create
-- under way. That of a worker that is there is asserted by it. That of a worker which died, or is cut off from here, is
-- asserted by nobody, and shows on the list only once it was carried out: 115 s after its grant (LATE). So it has to be
-- known who was there, and an emptied Redis does not know it, nor does an old snapshot. The workers do: each brings the
-- list of all that it saw in the ledger (asserted), those that went lately included, with the end of their creates.
--   - Every worker with a lease has asserted, always.
--   - So has everybody whom one of them remembers, or its creates are over: 5 s at least, for reconnects, and for what is
--     carried out meanwhile.
--   - Nobody remembers anything, nor does Redis, and E2B lists nothing: there was no ledger. 5 s.
--   - Nobody remembers anything, but something is listed, or Redis brings a ledger: LATE.
-- Not covered is a create of a worker that nobody else saw, for it came within a pulse (3 s) before the loss and did not
-- survive it, when it is carried out later than 5 s after.
-- Then the permits of earlier epochs stand for nothing. Nobody is taken over for one lease: whoever comes late, or waits
-- to seal, shall not find its claim with another.
local QUIET = 5000
local worker, listed = A[1], tonumber(A[3])
local led = fields(L .. 'led', 'state', 'clk', 'since', 'fresh', 'epoch')
if led.state == 'ready' then return 'ok' end
if led.epoch ~= A[2] then return 'later' end -- what the caller vouches for was lost once more
if led.state ~= 'rebuilding' or now - tonumber(led.clk) > GAP or now < tonumber(led.clk) - 1000 then return 'later' end

local lock, since = L .. 'lock:rebuild', tonumber(led.since)
if not call('SET', lock, worker, 'NX', 'PX', 10000) then
    if call('GET', lock) ~= worker then return 'later' end
    call('PEXPIRE', lock, 10000)
end
local is_known = call('EXISTS', L .. 'crew') == 1 or (led.fresh == '1' and listed == 0)
if now - since < (is_known and QUIET or LATE) or count_missing() > 0 then return 'later' end

for _, permit in ipairs(call('ZRANGE', L .. 'p', 0, -1)) do
    if call('HGET', L .. 'p:' .. permit, 'epoch') ~= led.epoch then drop({permit}) end
end
call('HSET', L .. 'led', 'state', 'ready', 'hold', now + LEASE)
call('HDEL', L .. 'led', 'fresh', 'since', 'behind')
call('DEL', lock, L .. 'said', L .. 'crew')
return 'ok'
