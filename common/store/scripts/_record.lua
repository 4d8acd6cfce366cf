-- Records of tasks: TAB-separated fields, numbered from 1 = state (store.h has the layout).
--   all: 2 run, 3 epoch, 4 attempt
--   R: 5 nonce, 6 worker, 7 record_id, 8 started_at_ms, 9 lost, 10 journalled, 11 flags, 12 replies
--   S: 5 record_id, 6 journal_offset, 7 lost, 8 flags, 9 replies
--   B, W: 5 due_ms, 6 journal_offset, 7 lost, 8 flags, 9 replies
--   F: 5 nonce, 6 status, 7 closed_at_ms, 8 unconfirmed, 9 replies, then a newline and the publication
local function split(text)
	local fields, n, from = {}, 0, 1
	while true do
		local tab = string.find(text, '\t', from, true)
		n = n + 1
		if not tab then
			fields[n] = string.sub(text, from)
			return fields
		end
		fields[n] = string.sub(text, from, tab - 1)
		from = tab + 1
	end
end

-- The first line: all of a record but the publication of F.
local function head_of(record)
	local newline = string.find(record, '\n', 1, true)
	return newline and string.sub(record, 1, newline - 1) or record
end

local function fields_of(record)
	return split(head_of(record))
end

local function join(fields)
	return table.concat(fields, '\t')
end

-- -1, 0, 1: how (epoch, attempt) stands to the other.
local function compare(epoch, attempt, other_epoch, other_attempt)
	local a, b = tonumber(epoch), tonumber(other_epoch)
	if a == b then
		a, b = tonumber(attempt), tonumber(other_attempt)
	end
	return a < b and -1 or a > b and 1 or 0
end

local function has_flag(flags, flag)
	return string.find(flags, flag, 1, true) ~= nil
end

-- What R, and S, B, W know alike.
local function flags_of(f)
	return f[1] == 'R' and f[11] or f[8]
end

local function replies_of(f)
	return f[1] == 'R' and f[12] or f[9]
end

-- The journal offset of the record that carries the task, '' where there is none, 'j' where it is not known.
local function journalled_of(f)
	return f[1] == 'R' and f[10] or f[6]
end
