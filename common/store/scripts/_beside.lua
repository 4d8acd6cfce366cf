-- What a task keeps beside its record: keys of its shard derived from its own key, P{s}t:K (no prefix has a brace).
local function shard_of(key)
	local close = string.find(key, '}', 1, true)
	return string.sub(key, 1, close), string.sub(key, close + 3)
end

-- The entry in P{s}T of the time at which the attempt's or task's time is over, where the journal carries the task.
local function close_member(name, f)
	return 'c\t' .. name .. '\t' .. f[2] .. '\t' .. f[3] .. '\t' .. f[4] .. '\t'
end

-- Timers and the parked set, when a task leaves state f.
local function leave(key, f)
	local shard, name = shard_of(key)
	if f[1] == 'R' and has_flag(f[11], 'k') then
		if f[6] == '' then
			redis.call('ZREM', shard .. 'h', name)
		else
			redis.call('ZREM', shard .. 'k', f[6] .. '\t' .. name)
		end
	elseif f[1] == 'B' or f[1] == 'W' then
		redis.call('ZREM', shard .. 'b', name)
	end
	if journalled_of(f) ~= '' then
		redis.call('ZREM', shard .. 'T', close_member(name, f))
	end
end

-- The same when it ends; with it go the heartbeat and what commands have changed.
local function forget(key, f)
	leave(key, f)
	if has_flag(flags_of(f), 'e') then
		local shard, name = shard_of(key)
		redis.call('DEL', shard .. 'y:' .. name, shard .. 'c:' .. name)
	end
end

-- What a replay has kept for a while stays from now on with its task, whose record it has found; true where there is any.
local function keep_beside(key)
	local shard, name = shard_of(key)
	return redis.call('PERSIST', shard .. 'y:' .. name) + redis.call('PERSIST', shard .. 'c:' .. name) > 0
end

-- P{s}c:K as {run, epoch, flags, request_ids, options}; nil where there is none, or it is of another run.
local function commands_of(key, run)
	local shard, name = shard_of(key)
	local text = redis.call('GET', shard .. 'c:' .. name)
	if not text then
		return nil
	end
	local c = {string.match(text, '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$')}
	return (c[1] == '' or c[1] == run) and c or nil
end

-- True where commands want the task ended, and the scheduler is the one to do it: nobody else has it, or is to be asked.
local function is_to_end(f)
	if f[1] == 'R' then
		return has_flag(f[11], 't') or (f[6] == '' and has_flag(f[11], 'c'))
	end
	return (f[1] == 'S' or f[1] == 'B' or f[1] == 'W') and (has_flag(f[8], 'c') or has_flag(f[8], 't'))
end

-- What found_parse() of found.c reads: record, heartbeat, commands, each '' where there is none.
local function append_found(answer, key, state)
	local n, y, c = #answer, false, false
	local flags = state and string.sub(state, 1, 1) ~= 'F' and flags_of(fields_of(state))
	if flags and has_flag(flags, 'e') then
		local shard, name = shard_of(key)
		y, c = redis.call('GET', shard .. 'y:' .. name), redis.call('GET', shard .. 'c:' .. name)
	end
	answer[n + 1], answer[n + 2], answer[n + 3] = state or '', y or '', c or ''
end

-- The options that a dispatch carries along.
local function options_for(key, f)
	local c = has_flag(flags_of(f), 'e') and commands_of(key, f[2])
	return c and c[5] or ''
end
