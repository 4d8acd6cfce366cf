#!lua flags=allow-oom
-- Writes back what a worker runs, after Redis has lost it: the higher of (epoch, attempt, phase) of a run wins, terminal wins
-- over all.
-- KEYS: two a task: task, backoff set
-- ARGV: two a task: the record R of the attempt, the task key
-- Returns {now_ms}
--@include _time.lua
--@include _record.lua
--@include _beside.lua
--@include _wheel.lua
--@include _closed.lua

-- A token proves that its attempt was given out: a state that waits for that attempt, or for one before, is from the past.
local function wins(key, state, mine, f)
	if f[1] == 'M' then
		return true
	elseif f[1] == 'F' then
		return takes_over(key, state, f, mine[2])
	elseif f[2] ~= mine[2] then
		return false
	end
	local order = compare(mine[3], mine[4], f[3], f[4])
	return order > 0 or (order == 0 and f[1] ~= 'R')
end

-- What commands have said, where it was said of this run.
local function kept_flags(f, mine)
	local fits, flags = f[2] == mine[2] or f[2] == '', ''
	for _, flag in ipairs({'c', 't', 'p', 'r', 'e'}) do
		if has_flag(flags_of(f), flag) and (fits or flag == 'e') then
			flags = flags .. flag
		end
	end
	return flags
end

local function merge(key, f, mine)
	mine[11], mine[12] = kept_flags(f, mine), replies_of(f)
	if mine[10] == '' or mine[10] == 'j' then
		mine[10] = journalled_of(f) ~= '' and journalled_of(f) or mine[10]
	end
	leave(key, f)
end

for i = 1, #KEYS / 2 do
	local key, backoff, record, name = KEYS[2 * i - 1], KEYS[2 * i], ARGV[2 * i - 1], ARGV[2 * i]
	local state = redis.call('GET', key)
	if not state then
		local mine = split(record)
		mine[11] = keep_beside(key) and mine[11] .. 'e' or mine[11]
		redis.call('SET', key, join(mine))
	else
		local f, mine = fields_of(state), split(record)
		if wins(key, state, mine, f) then
			if f[1] == 'F' then
				keep_beside(key)
				mine[11] = 'e'
			else
				merge(key, f, mine)
			end
			redis.call('SET', key, join(mine))
			redis.call('ZREM', backoff, name)
		end
	end
end
return {time_ms()}
