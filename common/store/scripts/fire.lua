#!lua flags=allow-oom
-- Due entries of the backoff set: BACKING_OFF or WAITING -> SCHEDULED, with an outbox entry until the dispatch is
-- acknowledged. Never early: by the record's own due time and this server's clock.
-- KEYS: 1 marker, 2 backoff set, 3 outbox, 4 the prefix of task keys
-- ARGV: 1 nonce, 2 limit
-- Returns {now_ms, 'c'} (the marker is another) or {now_ms, 'k', lowest score left or '', four a task: task key, record S,
-- due_ms, options...}
--@include _time.lua
--@include _marker.lua
--@include _record.lua
--@include _beside.lua
local MARKER, BACKOFF, OUTBOX, PREFIX = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = time_ms()

if not ready_under(MARKER, ARGV[1]) then
	return {now, 'c'}
end

local answer, records, outboxed, done = {now, 'k', ''}, {}, {}, {}
-- What a command holds or ends does not start by time.
local function is_due_by_time(f)
	return (f[1] == 'B' or f[1] == 'W') and tonumber(f[5]) >= 0 and not has_flag(f[8], 'p') and not is_to_end(f)
end

local function fire(name, state)
	local f = state and fields_of(state)
	if not f or not is_due_by_time(f) then
		done[#done + 1] = name
	elseif tonumber(f[5]) > now then
		redis.call('ZADD', BACKOFF, f[5], name)
	else
		-- The dispatch carries what has changed.
		local flags = string.gsub(f[8], 'u', '')
		local record = join({'S', f[2], f[3], f[4], '', f[6], f[7], flags, f[9]})
		records[#records + 1], records[#records + 2] = PREFIX .. name, record
		outboxed[#outboxed + 1], outboxed[#outboxed + 2] = now, name
		done[#done + 1] = name
		local n = #answer
		answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = name, record, f[5], options_for(PREFIX .. name, f)
	end
end

local due = redis.call('ZRANGEBYSCORE', BACKOFF, '-inf', now, 'LIMIT', 0, ARGV[2])
if #due > 0 then
	local keys = {}
	for i, name in ipairs(due) do
		keys[i] = PREFIX .. name
	end
	local found = redis.call('MGET', unpack(keys))
	for i, name in ipairs(due) do
		fire(name, found[i])
	end
end
if #records > 0 then
	redis.call('MSET', unpack(records))
	redis.call('ZADD', OUTBOX, unpack(outboxed))
end
if #done > 0 then
	redis.call('ZREM', BACKOFF, unpack(done))
end
answer[3] = redis.call('ZRANGE', BACKOFF, 0, 0, 'WITHSCORES')[2] or ''
return answer
