#!lua flags=allow-oom
-- Declares an incarnation of a worker dead: it gets no lease any more. Entries are kept for an hour.
-- KEYS: two a shard: leases, declared dead
-- ARGV: 1 worker
-- Returns {now_ms}
--@include _time.lua
local KEPT_MS = 3600000
local now = time_ms()

for i = 1, #KEYS / 2 do
	local dead = KEYS[2 * i]
	local entries = redis.call('HGETALL', dead)
	for e = 1, #entries, 2 do
		if tonumber(entries[e + 1]) < now - KEPT_MS then
			redis.call('HDEL', dead, entries[e])
		end
	end
	redis.call('HDEL', KEYS[2 * i - 1], ARGV[1])
	redis.call('HSET', dead, ARGV[1], now)
end
return {now}
