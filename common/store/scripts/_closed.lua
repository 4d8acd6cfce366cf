-- Closed runs of a key whose record another run has taken: P{s}u:K<TAB>RUN, for as long as the wheel keeps it.
local function closed_key(key, run)
	local shard, name = shard_of(key)
	return shard .. 'u:' .. name .. '\t' .. run
end

-- Lays the record F aside.
local function lay_aside(key, state, f)
	local shard, name = shard_of(key)
	redis.call('SET', closed_key(key, f[2]), state)
	wheel_add(shard .. 'x', wheel_slice(tonumber(f[7])), {name .. '\t' .. f[2]}, 1)
end
