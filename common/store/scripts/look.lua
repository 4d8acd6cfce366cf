#!lua flags=no-writes
-- The status of a shard.
-- KEYS: 1 marker, 2 positions, 3 leases, 4 backoff set, 5 heartbeat set, 6 timeout set, 7 outbox
-- Returns {now_ms, '1' ready | '0' recovering | '?' no marker of this server, nonce, journal offset, results tip, control
-- offset (-1 = none),
--          lowest score of the timer sets (-1 = none), entries in the outbox, {worker, lease...},
--          {entries of each timer set}}
--@include _time.lua
--@include _marker.lua
--@include _status.lua
return status(redis.call('GET', KEYS[1]), identity())
