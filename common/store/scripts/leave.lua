#!lua flags=allow-oom
-- Drain: removes the worker's leases.
-- KEYS: the leases of each shard
-- ARGV: 1 worker
-- Returns {now_ms}
--@include _time.lua
for _, leases in ipairs(KEYS) do
	redis.call('HDEL', leases, ARGV[1])
end
return {time_ms()}
