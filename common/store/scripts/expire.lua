#!lua flags=allow-oom
-- Forgets finished tasks, closed runs and markers of commands whose retention has ended, slice by slice of the wheel, oldest
-- first.
-- KEYS: 1 marker, 2 wheel, 3 the prefix of task keys
-- ARGV: 1 nonce, 2 retention (ms), 3 limit (entries looked at)
-- Returns {now_ms, 'c'} (the marker is another) or {now_ms, 'k', removed, more (0 or 1), keys of markers that went...}
--@include _time.lua
--@include _marker.lua
--@include _record.lua
--@include _beside.lua
--@include _wheel.lua
local MARKER, WHEEL, PREFIX = KEYS[1], KEYS[2], KEYS[3]
local retention, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local now = time_ms()
local SHARD = shard_of(PREFIX)

if not ready_under(MARKER, ARGV[1]) then
	return {now, 'c'}
end

-- Where an entry goes: nil = nowhere (the task is forgotten or began again), else a later slice.
local function later_slice(state, slice)
	local f = state and fields_of(state)
	if not f or (f[1] ~= 'F' and f[1] ~= 'M') then
		return nil
	end
	if f[1] == 'F' and f[8] == '1' then
		return wheel_slice(now), f
	end
	local own = wheel_slice(tonumber(f[1] == 'M' and f[5] or f[7]))
	return own > slice and own or nil, f
end

local unseen = {}

local function expire(slice, names)
	local keys, gone = {}, {}
	for i, name in ipairs(names) do
		-- Task keys have no TAB: with one it is a closed run.
		keys[i] = string.find(name, '\t', 1, true) and SHARD .. 'u:' .. name or PREFIX .. name
	end
	for i, state in ipairs(redis.call('MGET', unpack(keys))) do
		local later, f = later_slice(state, slice)
		if later then
			wheel_add(WHEEL, later, {names[i]}, 1)
		elseif f then
			gone[#gone + 1] = keys[i]
			if f[1] == 'M' then
				unseen[#unseen + 1] = names[i]
				forget(keys[i], f)
			end
		end
	end
	if #gone > 0 then
		redis.call('UNLINK', unpack(gone))
	end
	return #gone
end

local function oldest_ended()
	local slice = tonumber(redis.call('ZRANGE', WHEEL, 0, 0)[1])
	return slice and (slice + 1) * SLICE_MS + retention <= now and slice or nil
end

local removed, looked = 0, 0
local slice = oldest_ended()
while slice and looked < limit do
	local list = WHEEL .. ':' .. slice
	local names = redis.call('LPOP', list, limit - looked)
	if names then
		looked = looked + #names
		removed = removed + expire(slice, names)
	end
	if redis.call('EXISTS', list) == 0 then
		redis.call('ZREM', WHEEL, slice)
	end
	slice = oldest_ended()
end
return {now, 'k', removed, slice and 1 or 0, unpack(unseen)}
