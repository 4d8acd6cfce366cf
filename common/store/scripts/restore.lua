#!lua flags=allow-oom
-- Recovery, step 4: results read from the log. The first of a run in the log wins, also over another result that a worker has
-- finished with in the meantime; a result ends its own run only, and of two runs the one that closed later stays, the other is laid
-- aside.
-- KEYS: 1 marker, 2 backoff set, 3 outbox, 4 wheel, 5.. tasks
-- ARGV: 1 nonce, then three a task: record F (without a nonce: it is from the log), task key, length of the result
-- Returns {now_ms, 'c'} (the marker is not this recovery's) or {now_ms, 'k'}
--@include _time.lua
--@include _marker.lua
--@include _record.lua
--@include _beside.lua
--@include _wheel.lua
--@include _closed.lua
local MARKER, BACKOFF, OUTBOX, WHEEL = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = time_ms()

-- The result is what the record ends with.
local function same_result(record, state, len)
	return len == 0 or string.sub(record, -len) == string.sub(state, -len)
end

local function wins(mine, record, f, state, len)
	if f[1] ~= 'F' then
		return f[2] == mine[2] or f[1] == 'M'
	elseif f[2] == mine[2] then
		return f[5] ~= '' and not same_result(record, state, len)
	end
	return f[8] ~= '1' and tonumber(mine[7]) > tonumber(f[7])
end

local function with_head(fields, record)
	return join(fields) .. string.sub(record, string.find(record, '\n', 1, true), -1)
end

local function restore(key, record, name, len)
	local state, mine = redis.call('GET', key), fields_of(record)
	if tonumber(mine[7]) > now then
		mine[7] = string.format('%.0f', now) -- written by some other clock
		record = with_head(mine, record)
	end
	if state then
		local f = fields_of(state)
		if not wins(mine, record, f, state, len) then
			if f[2] ~= mine[2] then
				lay_aside(key, record, mine)
			end
			return
		end
		if f[1] ~= 'F' then
			forget(key, f)
		elseif f[2] ~= mine[2] then
			lay_aside(key, state, f)
		end
		mine[9] = f[2] == mine[2] and replies_of(f) or ''
		record = with_head(mine, record)
		redis.call('ZREM', BACKOFF, name)
		redis.call('ZREM', OUTBOX, name)
	end
	redis.call('SET', key, record)
	wheel_add(WHEEL, wheel_slice(tonumber(mine[7])), {name}, 1)
end

if redis.call('GET', MARKER) ~= '0' .. identity() .. ARGV[1] then
	return {now, 'c'}
end
for i = 1, #KEYS - 4 do
	restore(KEYS[4 + i], ARGV[3 * i - 1], ARGV[3 * i], tonumber(ARGV[3 * i + 1]))
end
return {now, 'k'}
