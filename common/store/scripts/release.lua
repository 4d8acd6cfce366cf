#!lua flags=allow-oom
-- Gives back claims that did not start, without using up an attempt. Repeated it does nothing, nor where the journal says that the
-- attempt has started.
-- KEYS: n tasks
-- ARGV: a task each: run, epoch, attempt, nonce (TAB-separated)
-- Returns {now_ms}
--@include _time.lua
--@include _record.lua
--@include _beside.lua
-- A worker of this name never has a lease: what it holds counts as lost.
local NOBODY = '-'

-- What R knows and S needs: a reset that was asked for is told when the attempt is claimed again.
local function scheduled_flags(flags)
	return (string.gsub(flags, 'r', 'u'))
end

-- What was to be canceled while it was held is ended by the scheduler, should no worker come.
local function schedule(key, s)
	redis.call('SET', key, join(s))
	if is_to_end(s) then
		local shard, name = shard_of(key)
		redis.call('ZADD', shard .. 'o', 'NX', time_ms(), name)
	end
end

local function holds(f, token)
	return f and f[1] == 'R' and f[2] == token[1] and f[3] == token[2] and f[4] == token[3] and f[5] == token[4]
		and not has_flag(f[11], 'k')
end

for i, key in ipairs(KEYS) do
	local state, token = redis.call('GET', key), split(ARGV[i])
	local f = state and fields_of(state)
	if holds(f, token) then
		if has_flag(f[11], 'l') then
			-- The attempt had started under its former owner: it must not start again.
			f[6] = NOBODY
			redis.call('SET', key, join(f))
		elseif f[3] == '0' and f[4] == '1' and f[9] == '0' and f[10] == '' and f[11] == '' and f[12] == '' then
			redis.call('DEL', key)
		else
			schedule(key, {'S', f[2], f[3], f[4], f[7], f[10], f[9], scheduled_flags(f[11]), f[12]})
		end
	end
end
return {time_ms()}
