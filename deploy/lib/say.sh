# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a script of this project says while it works. Sourced; uses nothing but bash.

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
	say_bold=$'\e[1m' say_red=$'\e[31m' say_plain=$'\e[0m'
else
	say_bold='' say_red='' say_plain=''
fi

say() { printf '%s%s%s\n' "$say_bold" "$*" "$say_plain" >&2; }

say_error() { printf '%serror:%s %s\n' "$say_red" "$say_plain" "$*" >&2; }

die() {
	say_error "$@"
	exit 1
}

# run_logged WHAT LOG COMMAND...: one line while it works, one figure when it is done, the end of its log when it fails.
run_logged() {
	local what=$1 log=$2 started=$SECONDS rc=0
	shift 2
	mkdir -p "$(dirname "$log")"
	printf '%s ... ' "$what" >&2
	"$@" </dev/null >"$log" 2>&1 || rc=$?
	if ((rc == 0)); then
		printf '%s s\n' "$((SECONDS - started))" >&2
		return 0
	fi
	printf 'failed\n' >&2
	say_error "$what: exit $rc; from $log:"
	say_why_from "$log"
	return "$rc"
}

# say_why_from LOG: from the first failure that ninja reports on, else its end; 40 lines at most.
say_why_from() {
	if grep -q '^FAILED:' "$1"; then
		sed -n '/^FAILED:/,$p' "$1" | sed -n 1,40p
	else
		tail -n 40 "$1"
	fi | cut -c 1-500 | sed 's/^/    /' >&2
}

# free_port: a TCP port of the loopback interface that nobody listens on just now.
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
