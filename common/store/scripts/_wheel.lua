-- The wheel: finished tasks by the time slice in which they ended, so that retention needs no TTL a key. The key of the wheel
-- itself is a sorted set of its slices; each slice is a list.
local SLICE_MS = 60000

local function wheel_slice(at_ms)
	return math.floor(at_ms / SLICE_MS)
end

-- Appends entries [1..n] to a slice.
local function wheel_add(wheel, slice, entries, n)
	if redis.call('RPUSH', wheel .. ':' .. slice, unpack(entries, 1, n)) == n then
		redis.call('ZADD', wheel, slice, slice)
	end
end
