#!lua flags=allow-oom
-- Raises the worker's counter in shards, and registers it where it is missing and was not declared dead.
-- KEYS: three a shard: marker, leases, declared dead
-- ARGV: 1 worker, 2.. a shard each: the recovery nonce under which the worker has re-asserted what it runs, or ''
-- Returns {now_ms, a shard each: '1' ready, 'x' declared dead, '0<nonce>' recovering, '?' no marker of this server}
-- A lease is "counter seen_nonce".
--@include _time.lua
--@include _marker.lua
local worker, id = ARGV[1], identity()

local function raise(leases, seen)
	local lease = redis.call('HGET', leases, worker)
	local counter = lease and tonumber(string.match(lease, '^%d+')) or 0
	redis.call('HSET', leases, worker, string.format('%.0f %s', counter + 1, seen))
end

local answer = {time_ms()}
for i = 1, #ARGV - 1 do
	local marker, leases, dead = redis.call('GET', KEYS[3 * i - 2]), KEYS[3 * i - 1], KEYS[3 * i]
	if redis.call('HEXISTS', dead, worker) == 1 then
		answer[1 + i] = 'x'
	else
		raise(leases, ARGV[1 + i])
		if not marker or string.sub(marker, 2, 1 + #id) ~= id then
			answer[1 + i] = '?'
		elseif string.sub(marker, 1, 1) == '1' then
			answer[1 + i] = '1'
		else
			answer[1 + i] = '0' .. string.sub(marker, 2 + #id)
		end
	end
end
return answer
