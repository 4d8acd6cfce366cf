#!lua flags=no-writes
-- What will be due in the backoff set, in the order of due times: so that its records can be fetched before.
-- KEYS: 1 marker, 2 backoff set, 3 the prefix of task keys
-- ARGV: 1 nonce, 2 and 3 where to go on: entries due from this instant on, but so many of them; 4 and due by then, 5 limit
-- Returns {now_ms, 'c'} (the marker is another) or {now_ms, 'k', where to go on (two numbers), two a task: journal offset,
-- due_ms...}
--@include _time.lua
--@include _marker.lua
--@include _record.lua
local MARKER, BACKOFF, PREFIX = KEYS[1], KEYS[2], KEYS[3]
local now = time_ms()

if not ready_under(MARKER, ARGV[1]) then
	return {now, 'c'}
end

local from, skip, till, limit = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local near = redis.call('ZRANGEBYSCORE', BACKOFF, from, till, 'WITHSCORES', 'LIMIT', skip, limit)
local answer, keys = {now, 'k', string.format('%.0f', tonumber(till) + 1), 0}, {}

-- An instant may have more entries than one answer takes.
local function go_on_within(last)
	local told = last == from and skip or 0
	for i = 2, #near, 2 do
		told = told + (near[i] == last and 1 or 0)
	end
	answer[3], answer[4] = last, told
end

if #near == 2 * limit then
	go_on_within(near[#near])
end
for i = 1, #near / 2 do
	keys[i] = PREFIX .. near[2 * i - 1]
end
for i, state in ipairs(#keys > 0 and redis.call('MGET', unpack(keys)) or {}) do
	local f = state and fields_of(state)
	if f and (f[1] == 'B' or f[1] == 'W') and tonumber(f[6]) then
		answer[#answer + 1] = f[6]
		answer[#answer + 1] = near[2 * i]
	end
end
return answer
