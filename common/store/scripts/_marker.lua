-- The identity of the data: which server process, and which history of writes. A failover that comes back to the old server
-- keeps the one, a restart from a snapshot the other.
local function identity_of(info)
	return string.match(info, 'run_id:(%x+)') .. string.match(info, 'master_replid:(%x+)')
end

local function identity()
	return identity_of(redis.call('INFO', 'server', 'replication'))
end

-- True where the shard is vouched for, under whatever nonce.
local function vouched(marker_key)
	local ready = '1' .. identity()
	return string.sub(redis.call('GET', marker_key) or '', 1, #ready) == ready
end

-- True where the shard is vouched for under this nonce.
local function ready_under(marker_key, nonce)
	return redis.call('GET', marker_key) == '1' .. identity() .. nonce
end
