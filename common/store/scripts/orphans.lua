#!lua flags=allow-oom
-- Parked attempts whose worker has no lease any more. What is no parked attempt of that worker goes.
-- KEYS: 1 marker, 2 parked set, 3 leases, 4 the prefix of task keys
-- ARGV: 1 nonce, 2 the member to go on behind ('': the first), 3 limit (members looked at; a worker that lives costs one)
-- Returns {now_ms, 'c'} (the marker is another) or {now_ms, 'k', where to go on ('': that was all), four a task: task key,
--   record R, heartbeat, commands...}
--@include _time.lua
--@include _marker.lua
--@include _record.lua
--@include _beside.lua
local MARKER, PARKED, LEASES, PREFIX = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local after, left = ARGV[2], tonumber(ARGV[3])
local now = time_ms()

if not ready_under(MARKER, ARGV[1]) then
	return {now, 'c'}
end

local answer = {now, 'k', ''}
local function look(member, worker, name)
	local state = redis.call('GET', PREFIX .. name)
	local f = state and fields_of(state)
	if f and f[1] == 'R' and f[6] == worker and has_flag(f[11], 'k') then
		answer[#answer + 1] = name
		append_found(answer, PREFIX .. name, state)
	else
		redis.call('ZREM', PARKED, member)
	end
end

local lowest = after == '' and '-' or '(' .. after
local more = true
while left > 0 and more do
	local first = redis.call('ZRANGEBYLEX', PARKED, lowest, '+', 'LIMIT', 0, 1)[1]
	more = first ~= nil
	if not more then
		break
	end
	local worker = string.match(first, '^[^\t]*')
	local last = worker .. '\t\255'
	if redis.call('HEXISTS', LEASES, worker) == 1 then
		left, after = left - 1, last
	else
		local members = redis.call('ZRANGEBYLEX', PARKED, lowest, '(' .. last, 'LIMIT', 0, left)
		for _, member in ipairs(members) do
			look(member, worker, string.sub(member, #worker + 2))
		end
		left, after = left - #members, #members > 0 and members[#members] or last
	end
	lowest = '(' .. after
end
answer[3] = more and after or ''
return answer
