#!lua
-- Applies a batch of one shard's journal and moves its offset, in one step. Refused whole when memory is full.
-- KEYS: 1 marker, 2 positions, 3 backoff set, 4 outbox, 5.. tasks
-- ARGV: 1 nonce, 2 recovering (0 or 1), 3 from, 4 to (offsets; positions stay where they are while recovering)
--       5.. two a record: kind (B, R, W as the states they make), run, epoch, attempt, due_ms, offset, lost, flags, nonce,
--         worker,
--       record_id, started_at_ms (TAB-separated); the task key
-- Returns {now_ms, 'c'} (the marker or the stored offset is another) or {now_ms, 'k', one letter a record}:
--   k applied   s stale: the state is further   f finished and confirmed: the journal wants its tombstone
-- The highest (epoch, attempt, phase) of a run wins, so applying again changes nothing.
--@include _time.lua
--@include _marker.lua
--@include _record.lua
local MARKER, POSITIONS, BACKOFF, OUTBOX = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local nonce, recovering, from, to = ARGV[1], ARGV[2] == '1', ARGV[3], ARGV[4]
local now = time_ms()

local function position_fits()
	local stored = redis.call('HGET', POSITIONS, 'j') or '-1'
	return stored == from or stored == to
end

local function merged_flags(f, flags)
	local had = f and flags_of(f) or ''
	for _, flag in ipairs({'c', 'p', 'r'}) do
		if has_flag(had, flag) and not has_flag(flags, flag) then
			flags = flags .. flag
		end
	end
	return flags
end

local function write(key, name, r, f)
	local flags, replies = merged_flags(f, r[8]), f and replies_of(f) or ''
	if r[1] == 'R' then
		redis.call('SET', key, join({'R', r[2], r[3], r[4], r[9], r[10], r[11], r[12], r[7], r[6], flags, replies}))
		redis.call('ZREM', BACKOFF, name)
	else
		redis.call('SET', key, join({r[1], r[2], r[3], r[4], r[5], r[6], r[7], flags, replies}))
		if tonumber(r[5]) >= 0 then
			redis.call('ZADD', BACKOFF, r[5], name)
		else
			redis.call('ZREM', BACKOFF, name)
		end
	end
	redis.call('ZREM', OUTBOX, name)
	return 'k'
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
	if f[2] ~= r[2] then
		return 's'
	elseif f[8] == '1' then
		redis.call('ZADD', OUTBOX, 'NX', now, name)
		return 's'
	end
	return 'f'
end

-- The same attempt: WAITING and BACKOFF < SCHEDULED < STARTED; of two that wait, the later in the log.
local function same_attempt(key, name, r, f)
	if r[1] == 'R' then
		if f[1] ~= 'R' then
			return write(key, name, r, f)
		end
		note_journalled(key, f, r[6])
		return f[5] == r[9] and 'k' or 's'
	end
	if f[1] == 'R' or f[1] == 'S' then
		note_journalled(key, f, r[6])
		return 's'
	end
	if tonumber(r[6]) > (tonumber(f[6]) or -1) then
		return write(key, name, r, f)
	end
	return r[6] == f[6] and 'k' or 's'
end

local function apply(key, name, r)
	local state = redis.call('GET', key)
	if not state then
		return write(key, name, r)
	end
	local f = fields_of(state)
	if f[1] == 'F' then
		return finished(name, r, f)
	end
	if f[2] ~= r[2] then
		return 's'
	end
	local order = compare(r[3], r[4], f[3], f[4])
	if order == 0 then
		return same_attempt(key, name, r, f)
	elseif order > 0 then
		return write(key, name, r, f)
	end
	note_journalled(key, f, r[6])
	return 's'
end

local marker = (recovering and '0' or '1') .. identity() .. nonce
if redis.call('GET', MARKER) ~= marker or not (recovering or position_fits()) then
	return {now, 'c'}
end
local verdicts = {}
for i = 1, #KEYS - 4 do
	verdicts[i] = apply(KEYS[4 + i], ARGV[4 + 2 * i], split(ARGV[3 + 2 * i]))
end
if not recovering then
	redis.call('HSET', POSITIONS, 'j', to)
end
return {now, 'k', table.concat(verdicts)}
