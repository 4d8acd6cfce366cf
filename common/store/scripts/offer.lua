#!lua flags=allow-oom
-- How busy the workers of a queue are: tells ours, and is told what the others have told lately.
-- KEYS: 1 the queue's hash
-- ARGV: 1 worker, 2 free slots (0: withdraws it), 3 its partitions
-- Returns {now_ms, three a worker: worker, free slots, partitions...}
--@include _time.lua
local STALE_MS, FORGOTTEN_MS = 3000, 60000
local now = time_ms()
local queue, worker, free = KEYS[1], ARGV[1], ARGV[2]

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
	elseif entries[i] ~= worker then
		local n = #answer
		answer[n + 1], answer[n + 2], answer[n + 3] = entries[i], slots, partitions
	end
end
return answer
