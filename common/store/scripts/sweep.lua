#!lua flags=allow-oom
-- What is in the outbox for too long: dispatches and results whose publication nobody has confirmed. What is returned counts
-- as new in the outbox, so that the next sweep takes others.
-- KEYS: 1 marker, 2 outbox, 3 the prefix of task keys
-- ARGV: 1 nonce, 2 older than (ms), 3 limit
-- Returns {now_ms, 'c'} (the marker is another) or {now_ms, 'k', two a task: task key, record S or F...}
--@include _time.lua
--@include _marker.lua
--@include _record.lua
local MARKER, OUTBOX, PREFIX = KEYS[1], KEYS[2], KEYS[3]
local now = time_ms()

if not ready_under(MARKER, ARGV[1]) then
	return {now, 'c'}
end

local answer = {now, 'k'}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', OUTBOX, '-inf', now - ARGV[2], 'LIMIT', 0, ARGV[3])) do
	local state = redis.call('GET', PREFIX .. name)
	local f = state and fields_of(state) or {}
	if f[1] == 'S' or (f[1] == 'F' and f[8] == '1') then
		redis.call('ZADD', OUTBOX, now, name)
		answer[#answer + 1], answer[#answer + 2] = name, state
	else
		redis.call('ZREM', OUTBOX, name)
	end
end
return answer
