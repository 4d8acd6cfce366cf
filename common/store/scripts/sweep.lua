#!lua flags=allow-oom
-- What is in the outbox for too long: dispatches and results whose publication nobody has confirmed, and tasks that a command
-- ends. What is returned counts
-- as new in the outbox, so that the next sweep takes others.
-- KEYS: 1 marker, 2 outbox, 3 the prefix of task keys
-- ARGV: 1 nonce, 2 older than (ms), 3 limit
-- Returns {now_ms, 'c'} (the marker is another) or {now_ms, 'k', six a task: task key, '1' where it is to be
-- ended, options of a dispatch, record, heartbeat, commands...}
--@include _time.lua
--@include _marker.lua
--@include _record.lua
--@include _beside.lua
local MARKER, OUTBOX, PREFIX = KEYS[1], KEYS[2], KEYS[3]
local now = time_ms()

if not ready_under(MARKER, ARGV[1]) then
	return {now, 'c'}
end

local answer = {now, 'k'}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', OUTBOX, '-inf', now - ARGV[2], 'LIMIT', 0, ARGV[3])) do
	local key = PREFIX .. name
	local state = redis.call('GET', key)
	local f = state and fields_of(state) or {}
	local ends = is_to_end(f)
	if ends or f[1] == 'S' or (f[1] == 'F' and f[8] == '1') then
		redis.call('ZADD', OUTBOX, now, name)
		local n, options = #answer, not ends and f[1] == 'S' and options_for(key, f) or ''
		answer[n + 1], answer[n + 2], answer[n + 3] = name, ends and '1' or '0', options
		append_found(answer, key, state)
	else
		redis.call('ZREM', OUTBOX, name)
	end
end
return answer
