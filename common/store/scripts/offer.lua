#!lua flags=allow-oom
-- How busy the workers of a queue are: tells ours, and takes free slots that others have told of lately. What is taken is not
-- there for the next one who asks, until its worker tells again how it is.
-- KEYS: 1 the queue's hash
-- ARGV: 1 worker, 2 free slots (0: withdraws it), 3 its partitions, 4 how many slots of others are wanted
-- Returns {now_ms, three a worker: worker, slots taken, partitions...}
--@include _time.lua
local STALE_MS, FORGOTTEN_MS = 3000, 60000
local now = time_ms()
local queue, worker, free, wanted = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[4])

if free == '0' then
	redis.call('HDEL', queue, worker)
else
	redis.call('HSET', queue, worker, string.format('%.0f %s %s', now, free, ARGV[3]))
	redis.call('PEXPIRE', queue, FORGOTTEN_MS)
end

local answer, entries = {now}, redis.call('HGETALL', queue)
for i = 1, #entries, 2 do
	local at_ms, slots, partitions = string.match(entries[i + 1], '^(%d+) (%d+) (.*)$')
	if not at_ms or tonumber(at_ms) < now - STALE_MS then
		redis.call('HDEL', queue, entries[i])
	elseif entries[i] ~= worker and wanted > 0 and slots ~= '0' then
		local n, taken = #answer, math.min(wanted, tonumber(slots))
		answer[n + 1], answer[n + 2], answer[n + 3] = entries[i], taken, partitions
		redis.call('HSET', queue, entries[i], string.format('%s %.0f %s', at_ms, slots - taken, partitions))
		wanted = wanted - taken
	end
end
return answer
