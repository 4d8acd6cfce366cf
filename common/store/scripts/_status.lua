-- What `look` and `recover` answer. KEYS: 1 marker, 2 positions, 3 leases, 4 backoff set, 5 heartbeat set, 6 timeout set, 7
-- outbox
local function status(marker, id)
	local state, nonce = '?', ''
	if marker and string.sub(marker, 2, 1 + #id) == id then
		state, nonce = string.sub(marker, 1, 1), string.sub(marker, 2 + #id)
	end
	local next_due
	local sizes = {}
	for i = 4, 6 do
		sizes[#sizes + 1] = redis.call('ZCARD', KEYS[i])
		local score = tonumber(redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2])
		if score and (not next_due or score < next_due) then
			next_due = score
		end
	end
	local at = redis.call('HMGET', KEYS[2], 'j', 'r', 'c')
	local outbox, leases = redis.call('ZCARD', KEYS[7]), redis.call('HGETALL', KEYS[3])
	return {time_ms(), state, nonce, at[1] or '-1', at[2] or '-1', at[3] or '-1', next_due or -1, outbox, leases,
		sizes}
end
