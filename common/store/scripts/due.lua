#!lua flags=allow-oom
-- Timers of heartbeats and timeouts that are due, re-derived from the tasks' states: what holds no more is dropped, what is not
-- due yet is armed again, and what is told is armed again for later, until the task leaves the state. Never early, by this
-- server's clock.
-- KEYS: 1 marker, 2 heartbeat set, 3 timeout set, 4 leases, 5 the prefix of task keys
-- ARGV: 1 nonce, 2 limit
-- Returns {now_ms, 'c'} (the marker is another) or {now_ms, 'k', lowest score left or '', six a timer: due_ms, entry of the
--   timeout set or '' (a heartbeat), task key, record, heartbeat, commands...}
--@include _time.lua
--@include _marker.lua
--@include _record.lua
--@include _beside.lua
local MARKER, HEARTBEATS, TIMEOUTS, LEASES, PREFIX = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local AGAIN_MS = 2000 -- what was told
local SOON_MS = 1000  -- what may hold again, or shows by then that it does not
local now = time_ms()

if not ready_under(MARKER, ARGV[1]) then
	return {now, 'c'}
end

local answer = {now, 'k', ''}
local function tell(due_ms, member, name, state)
	local n = #answer
	answer[n + 1], answer[n + 2], answer[n + 3] = due_ms, member, name
	append_found(answer, PREFIX .. name, state)
end

-- Each judge says when the timer is due: now or earlier = tell it, later = arm it again, nil = drop it.

-- A first attempt that nobody has claimed has no state.
local function judge_schedule_to_start(f, t)
	if not f or f[1] == 'M' then
		return (not f or f[2] == '' or f[2] == t[3]) and t[4] == '0' and t[5] == '1' and now or nil
	elseif f[2] ~= t[3] or compare(f[3], f[4], t[4], t[5]) ~= 0 then
		return nil
	elseif f[1] == 'S' then
		return now
	end
	-- Claimed; until it is parked it may come back by release.
	return f[1] == 'R' and not has_flag(f[11], 'k') and now + SOON_MS or nil
end

-- A worker that lives ends what it runs itself, and what it has parked is either lost or in its hands.
local function judge_close(f, t)
	if not f or f[1] == 'M' then
		return judge_schedule_to_start(f, t)
	elseif f[1] == 'F' or f[2] ~= t[3] or compare(f[3], f[4], t[4], t[5]) < 0 then
		return nil
	elseif f[1] == 'B' or f[1] == 'W' then
		return t[6] == '' and now or nil
	elseif f[1] == 'R' and f[6] ~= '' then
		if has_flag(f[11], 'k') then
			return nil
		end
		return redis.call('HEXISTS', LEASES, f[6]) == 1 and now + SOON_MS or now
	end
	return now
end

-- An attempt that nobody runs.
local function judge_heartbeat(f, key)
	if not f or f[1] ~= 'R' or f[6] ~= '' then
		return nil
	end
	local shard, name = shard_of(key)
	local text = redis.call('GET', shard .. 'y:' .. name)
	local y = text and fields_of(text)
	if not y or y[1] ~= f[2] or y[2] ~= f[3] or y[3] ~= f[4] or tonumber(y[5]) <= 0 then
		return nil
	end
	return tonumber(y[4]) + tonumber(y[5])
end

local function due_of(set, limit)
	return limit > 0 and redis.call('ZRANGEBYSCORE', set, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit) or {}
end

local function states_of(names)
	local keys = {}
	for i, name in ipairs(names) do
		keys[i] = PREFIX .. name
	end
	return #keys > 0 and redis.call('MGET', unpack(keys)) or {}
end

-- Entries of `set` at due[1], due[3], ... with their scores behind them.
local function go_through(set, due, names, judge)
	local armed, dropped = {}, {}
	for i, state in ipairs(states_of(names)) do
		local member, score = due[2 * i - 1], due[2 * i]
		local f = state and fields_of(state)
		local at = judge(i, f)
		if not at then
			dropped[#dropped + 1] = member
		else
			local n = #armed
			armed[n + 1], armed[n + 2] = at > now and at or now + AGAIN_MS, member
			if at <= now then
				tell(score, set == TIMEOUTS and member or '', names[i], state)
			end
		end
	end
	if #armed > 0 then
		redis.call('ZADD', set, unpack(armed))
	end
	if #dropped > 0 then
		redis.call('ZREM', set, unpack(dropped))
	end
end

local limit = tonumber(ARGV[2])
local timeouts, parts, names = due_of(TIMEOUTS, limit), {}, {}
for i = 1, #timeouts / 2 do
	parts[i] = split(timeouts[2 * i - 1])
	names[i] = parts[i][2]
end
go_through(TIMEOUTS, timeouts, names, function(i, f)
	return parts[i][1] == 's' and judge_schedule_to_start(f, parts[i]) or parts[i][1] == 'c' and judge_close(f, parts[i]) or nil
end)

local beats, tasks = due_of(HEARTBEATS, limit - #names), {}
for i = 1, #beats / 2 do
	tasks[i] = beats[2 * i - 1]
end
go_through(HEARTBEATS, beats, tasks, function(i, f)
	return judge_heartbeat(f, PREFIX .. tasks[i])
end)

for _, set in ipairs({TIMEOUTS, HEARTBEATS}) do
	local score = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2]
	if score and (answer[3] == '' or tonumber(score) < tonumber(answer[3])) then
		answer[3] = score
	end
end
return answer
