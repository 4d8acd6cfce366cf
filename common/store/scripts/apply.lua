#!lua
-- Applies a batch of one shard's journal and moves its offset, in one step. Refused whole when memory is full.
-- KEYS: 1 marker, 2 positions, 3 backoff set, 4 outbox, 5 heartbeat set, 6 timeout set, 7 parked set, 8 wheel, 9.. tasks
-- ARGV: 1 nonce, 2 recovering (0 or 1), 3 from, 4 to (offsets; positions stay where they are while recovering)
--       5.. two a record, the fields and the task key. Fields (TAB-separated):
--         1 kind (B, R, W as the states they make, H heartbeat, C command, P checkpoint), 2 run, 3 epoch (C: that a reset asks for),
--         4 attempt, 5 due_ms, 6 offset, 7 lost, 8 flags (c t p), 9 nonce, 10 worker, 11 record_id, 12 started_at_ms,
--         13 close_at_ms, 14 heartbeat_timeout_ms (0: none), 15 control offset, 16 request_ids, 17 content type,
--         18 encoding,
--         and where there are any a newline and details (R, H) or options (C)
-- Returns {now_ms, 'c'} (the marker or the stored offset is another) or {now_ms, 'k', one letter a record, four for each record with
--   e: task key, and as append_found has it...}:
--   k applied, or noted for the end of the task   s stale: the state is further   f finished: the journal wants the tombstone of this record's key (of H and C even
--   where the result is not confirmed yet: the task itself is carried by another key, and who confirms may not know of them)
--   e applied: to be ended by its cancel or terminate flag
-- The highest (epoch, attempt, phase) of a run wins, so applying again changes nothing.
--@include _time.lua
--@include _marker.lua
--@include _record.lua
--@include _beside.lua
--@include _wheel.lua
--@include _closed.lua
local MARKER, POSITIONS, BACKOFF, OUTBOX = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local HEARTBEATS, TIMEOUTS, PARKED, WHEEL = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local FIRST_TASK = 9
local UNCLAIMED_S = 3600 -- what comes before the task's own record, in a replay, waits so long for it
local nonce, recovering, from, to = ARGV[1], ARGV[2] == '1', ARGV[3], ARGV[4]
local now = time_ms()

local function position_fits()
	local stored = redis.call('HGET', POSITIONS, 'j') or '-1'
	return stored == from or stored == to
end

local function verdict_of(f, name)
	if is_to_end(f) then
		redis.call('ZADD', OUTBOX, 'NX', now, name)
		return 'e'
	end
	return 'k'
end

local function add_flag(key, f, flag)
	local i = f[1] == 'R' and 11 or 8
	if not has_flag(f[i], flag) then
		f[i] = f[i] .. flag
		redis.call('SET', key, join(f))
	end
end

-- ---- heartbeats ----

-- The highest attempt's stays; what a record does not tell stays as it was.
local function note_beat(key, r, details)
	local shard, name = shard_of(key)
	local at, kind, encoding, timeout = shard .. 'y:' .. name, r[17], r[18], r[14]
	local text = redis.call('GET', at)
	local y = text and fields_of(text)
	if y and y[1] == r[2] then
		local order = compare(y[2], y[3], r[3], r[4])
		if order > 0 then
			return
		end
		if not details then
			kind, encoding, details = y[6], y[7], string.match(text, '\n(.*)$')
		end
		if order == 0 and timeout == '0' then
			timeout = y[5]
		end
	end
	local beat = join({r[2], r[3], r[4], now, timeout, kind, encoding})
	redis.call('SET', at, details and beat .. '\n' .. details or beat)
	return at
end

-- A record H or C that changes nothing is in the journal all the same: the end of the task is to take it along.
local function note_stray(key, r, f)
	local shard, name = shard_of(key)
	redis.call('SET', shard .. 'y:' .. name, join({r[2], '0', '0', '0', '0', '', ''}), 'NX')
	add_flag(key, f, 'e')
	return 'k'
end

local function has_beat(r, details)
	return details or (r[10] == '' and r[14] ~= '0')
end

-- ---- what makes a state ----

-- Timers and the parked set for an attempt that the journal has.
local function arm_started(name, r)
	if r[10] ~= '' then
		redis.call('ZADD', PARKED, 0, r[10] .. '\t' .. name)
		return
	end
	if r[14] ~= '0' then
		redis.call('ZADD', HEARTBEATS, now + tonumber(r[14]), name)
	end
	if r[13] ~= '0' then
		redis.call('ZADD', TIMEOUTS, r[13], close_member(name, r))
	end
end

local function write_started(key, name, r, flags, replies)
	local f = {'R', r[2], r[3], r[4], r[9], r[10], r[11], r[12], r[7], r[6], flags .. 'k', replies}
	redis.call('SET', key, join(f))
	arm_started(name, r)
	return verdict_of(f, name)
end

-- A reset that was asked for before makes the next attempt the first one of its epoch.
local function write_waiting(key, name, r, flags, replies, reset)
	local f = {r[1], r[2], r[3], r[4], r[5], r[6], r[7], flags, replies}
	local held = has_flag(flags, 'p')
	if reset then
		f[3], f[4], f[5], f[7] = reset, '1', now, '0'
	elseif tonumber(r[5]) < 0 and not held then
		f[5] = now -- what held it is gone
	end
	redis.call('SET', key, join(f))
	local verdict = verdict_of(f, name)
	if not held and verdict == 'k' then
		redis.call('ZADD', BACKOFF, f[5], name)
	end
	if r[13] ~= '0' then
		redis.call('ZADD', TIMEOUTS, r[13], close_member(name, f))
	end
	return verdict
end

-- What commands say counts; where they have said nothing, what the record and the state before say.
local function next_flags(f, c, flags)
	if c then
		return c[3]
	end
	local had = f and flags_of(f) or ''
	for _, flag in ipairs({'c', 't', 'p'}) do
		if has_flag(had, flag) and not has_flag(flags, flag) then
			flags = flags .. flag
		end
	end
	return flags
end

-- f: the state that it leaves; nil where there is none that counts.
local function write(key, name, r, details, f)
	local y_or_c = f and has_flag(flags_of(f), 'e')
	if not f then
		y_or_c = keep_beside(key)
	end
	local c = y_or_c and commands_of(key, r[2]) or nil
	local flags, replies = next_flags(f, c, r[8]), f and replies_of(f) or ''
	local reset = c and tonumber(c[2]) > tonumber(r[3]) and c[2]
	if f then
		leave(key, f)
	end
	redis.call('ZREM', OUTBOX, name)
	if r[1] == 'R' then
		y_or_c = has_beat(r, details) and note_beat(key, r, details) or y_or_c
		flags = flags .. (reset and 'r' or '')
	end
	flags = flags .. (y_or_c and 'e' or '')
	if r[1] == 'R' then
		return write_started(key, name, r, flags, replies)
	end
	return write_waiting(key, name, r, flags, replies, reset)
end

-- A journal record of the task exists, so its end needs the outbox, and with it the tombstone.
local function note_journalled(key, f, offset)
	local i = f[1] == 'R' and 10 or 6
	if f[i] == '' or f[i] == 'j' then
		f[i] = offset
		redis.call('SET', key, join(f))
	end
end

local function finished(name, r, f)
	if f[2] ~= r[2] and r[2] ~= '' then
		return 's'
	elseif f[8] == '1' then
		redis.call('ZADD', OUTBOX, 'NX', now, name)
		return (r[1] == 'H' or r[1] == 'C') and 'f' or 's'
	end
	return 'f'
end

-- The start of the very attempt that the state says runs.
local function park(key, name, r, details, f)
	local known = tonumber(f[10])
	if has_flag(f[11], 'k') and known and tonumber(r[6]) <= known then
		return verdict_of(f, name)
	end
	leave(key, f)
	f[6], f[10] = r[10], r[6]
	if not has_flag(f[11], 'k') then
		f[11] = f[11] .. 'k'
	end
	local beside = keep_beside(key)
	beside = has_beat(r, details) and note_beat(key, r, details) or beside
	if beside and not has_flag(f[11], 'e') then
		f[11] = f[11] .. 'e'
	end
	redis.call('SET', key, join(f))
	arm_started(name, r)
	return verdict_of(f, name)
end

-- The same attempt: WAITING and BACKOFF < SCHEDULED < STARTED; of two that wait, the later in the log. A WAITING record that
-- comes after the one which was dispatched gives the dispatch back.
local function same_attempt(key, name, r, details, f)
	if r[1] == 'R' and f[1] ~= 'R' then
		return write(key, name, r, details, f)
	elseif r[1] == 'R' and f[5] == r[9] then
		return park(key, name, r, details, f)
	end
	local gives_back = r[1] == 'W' and f[1] == 'S' and tonumber(r[6]) > (tonumber(f[6]) or -1)
	if f[1] == 'R' or (f[1] == 'S' and not gives_back) then
		note_journalled(key, f, r[6])
		return 's'
	end
	if tonumber(r[6]) > (tonumber(f[6]) or -1) then
		return write(key, name, r, details, f)
	end
	return r[6] == f[6] and verdict_of(f, name) or 's'
end

local function apply_state(key, name, r, details, state, f)
	if not f then
		return write(key, name, r, details)
	elseif f[1] == 'M' then
		local fits = f[2] == '' or f[2] == r[2]
		if not fits then
			forget(key, f)
		end
		return write(key, name, r, details, fits and f or nil)
	elseif f[1] == 'F' then
		-- A replay finds the result of a run that closed before another one began.
		if not recovering or r[1] == 'W' or not takes_over(key, state, f, r[2]) then
			return finished(name, r, f)
		end
		return write(key, name, r, details)
	elseif f[2] ~= r[2] then
		return 's'
	end
	local order = compare(r[3], r[4], f[3], f[4])
	if order == 0 then
		return same_attempt(key, name, r, details, f)
	elseif order > 0 then
		return write(key, name, r, details, f)
	end
	note_journalled(key, f, r[6])
	return 's'
end

-- ---- what changes a state ----

local function apply_heartbeat(key, name, r, details, f)
	local of_later_run = f and f[1] == 'F' and recovering and f[2] ~= r[2]
	if not f or f[1] == 'M' or of_later_run then
		local at = note_beat(key, r, details)
		if at and (not f or of_later_run) then
			redis.call('EXPIRE', at, UNCLAIMED_S)
		end
		return at and 'k' or 's'
	elseif f[1] == 'F' then
		return finished(name, r, f)
	end
	local order = f[2] == r[2] and compare(r[3], r[4], f[3], f[4]) or -1
	if order < 0 or (order == 0 and f[1] == 'R' and f[5] ~= r[9]) or not note_beat(key, r, details) then
		return note_stray(key, r, f)
	end
	add_flag(key, f, 'e')
	return 'k'
end

local function command_started(key, name, r, f)
	local flags = r[8] .. (tonumber(r[3]) > tonumber(f[3]) and 'r' or '') .. 'e'
	for _, flag in ipairs({'k', 'l'}) do
		flags = has_flag(f[11], flag) and flags .. flag or flags
	end
	f[11] = flags
	redis.call('SET', key, join(f))
	return verdict_of(f, name)
end

local function command_scheduled(key, name, r, f, changed)
	f[8] = r[8] .. ((changed or has_flag(f[8], 'u')) and 'u' or '') .. 'e'
	redis.call('SET', key, join(f))
	return verdict_of(f, name)
end

local function begin_epoch(name, r, f)
	local member = close_member(name, f)
	local close_at = redis.call('ZSCORE', TIMEOUTS, member)
	redis.call('ZREM', TIMEOUTS, member)
	f[3], f[4], f[5], f[7] = r[3], '1', now, '0'
	if close_at then
		redis.call('ZADD', TIMEOUTS, close_at, close_member(name, f))
	end
end

local function command_waiting(key, name, r, f)
	local had, held = has_flag(f[8], 'p'), has_flag(r[8], 'p')
	if tonumber(r[3]) > tonumber(f[3]) then
		begin_epoch(name, r, f)
	elseif (had or tonumber(f[5]) < 0) and not held and tonumber(f[5]) < now then
		f[5] = now
	end
	f[8] = r[8] .. 'e'
	redis.call('SET', key, join(f))
	local verdict = verdict_of(f, name)
	if held or verdict == 'e' then
		redis.call('ZREM', BACKOFF, name)
	else
		redis.call('ZADD', BACKOFF, f[5], name)
	end
	return verdict
end

-- Nobody has seen the task yet: its first claim is told.
local function mark(key, name, r, options, f)
	keep_beside(key)
	local flags = r[8] .. ((options ~= '' or r[3] ~= '0') and 'u' or '') .. 'e'
	redis.call('SET', key, join({'M', r[2], '0', '1', f and f[5] or now, 'j', '0', flags, f and f[9] or ''}))
	if not f then
		wheel_add(WHEEL, wheel_slice(now), {name}, 1)
	end
	return 'k'
end

local function apply_command(key, name, r, options, f)
	local shard = shard_of(key)
	local at, text = shard .. 'c:' .. name, join({r[2], r[3], r[8], r[16], options})
	if f and f[1] == 'F' then
		if recovering and r[2] ~= '' and f[2] ~= r[2] then
			redis.call('SET', at, text, 'EX', UNCLAIMED_S) -- of a run whose record may follow
		end
		return finished(name, r, f)
	elseif f and f[1] ~= 'M' and r[2] ~= '' and f[2] ~= r[2] then
		return note_stray(key, r, f)
	end
	local old = f and commands_of(key, f[2])
	local changed = options ~= (old and old[5] or '') or tonumber(r[3]) > (old and tonumber(old[2]) or 0)
	redis.call('SET', at, text)
	if not f or f[1] == 'M' then
		return mark(key, name, r, options, f)
	elseif f[1] == 'R' then
		return command_started(key, name, r, f)
	elseif f[1] == 'S' then
		return command_scheduled(key, name, r, f, changed)
	end
	return command_waiting(key, name, r, f)
end

local function apply_checkpoint(r)
	local stored = tonumber(redis.call('HGET', POSITIONS, 'c') or '-1')
	if tonumber(r[15]) > stored then
		redis.call('HSET', POSITIONS, 'c', r[15])
	end
	return 'k'
end

local function apply(key, name, text)
	local r, blob = fields_of(text), string.match(text, '\n(.*)$')
	if r[1] == 'P' then
		return apply_checkpoint(r)
	end
	local state = redis.call('GET', key)
	local f = state and fields_of(state)
	if r[1] == 'H' then
		return apply_heartbeat(key, name, r, blob, f)
	elseif r[1] == 'C' then
		return apply_command(key, name, r, blob or '', f)
	end
	return apply_state(key, name, r, blob, state, f)
end

local marker = (recovering and '0' or '1') .. identity() .. nonce
if redis.call('GET', MARKER) ~= marker or not (recovering or position_fits()) then
	return {now, 'c'}
end
local verdicts, answer = {}, {now, 'k', ''}
for i = 1, #KEYS - FIRST_TASK + 1 do
	local key = KEYS[FIRST_TASK - 1 + i]
	verdicts[i] = apply(key, ARGV[4 + 2 * i], ARGV[3 + 2 * i])
	if verdicts[i] == 'e' then
		answer[#answer + 1] = ARGV[4 + 2 * i]
		append_found(answer, key, redis.call('GET', key))
	end
end
if not recovering then
	redis.call('HSET', POSITIONS, 'j', to)
end
answer[3] = table.concat(verdicts)
return answer
