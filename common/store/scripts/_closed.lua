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

-- Where Redis fell back to the end of an earlier run (record F with fields f), a fact of `run`, which is not known to have closed,
-- takes the record: true, and the earlier run is laid aside.
local function takes_over(key, state, f, run)
	if f[2] == run or f[8] == '1' or redis.call('EXISTS', closed_key(key, run)) == 1 then
		return false
	end
	lay_aside(key, state, f)
	return true
end
