# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Installs the Debian packages that are missing, and only those. Sourced after say.sh.
#
#   install_missing LOG SET...      SET: build (what building and running needs) | test (what tests/run needs on top) |
#                                   compose (what tests/run compose needs on top) | debian13 (what tests/run --debian13 needs)
#
# Each need is PROBE=PACKAGE. A probe `cmd:NAME` looks for a program (whoever installed it), `pkg:NAME` for a Debian package
# (elsewhere than on Debian the build finds out), `py:MODULE,...` for modules of python3.

# shellcheck disable=SC2034 # used by name
install_needs_build=(
	cmd:gcc=gcc
	pkg:libc6-dev=libc6-dev
	cmd:cmake=cmake
	cmd:ninja=ninja-build
	cmd:pkg-config=pkg-config
	pkg:librdkafka-dev=librdkafka-dev
	pkg:libavro-dev=libavro-dev
	pkg:libhiredis-dev=libhiredis-dev
	pkg:libjansson-dev=libjansson-dev
	pkg:libmicrohttpd-dev=libmicrohttpd-dev
	cmd:redis-server=redis-server
	cmd:python3=python3
)

# shellcheck disable=SC2034,SC2054
install_needs_test=(
	pkg:libcmocka-dev=libcmocka-dev
	cmd:clang=clang
	cmd:clang-format=clang-format
	cmd:valgrind=valgrind
	cmd:kcat=kcat
	cmd:shellcheck=shellcheck
	pkg:ca-certificates=ca-certificates
	cmd:javac=default-jdk-headless
	cmd:mvn=maven
	cmd:promtool=prometheus
	cmd:node=nodejs
	cmd:npm=npm
	cmd:go=golang-go
	py:ensurepip,venv=python3-venv
)

# shellcheck disable=SC2034
install_needs_compose=(
	cmd:dockerd=docker.io
	cmd:docker-compose=docker-compose
	cmd:iptables=iptables
	cmd:debootstrap=debootstrap
)

# shellcheck disable=SC2034
install_needs_debian13=(cmd:debootstrap=debootstrap)

install_probe() {
	local kind=${1%%:*} name=${1#*:}
	case $kind in
	cmd) command -v "$name" >/dev/null ;;
	pkg)
		command -v dpkg-query >/dev/null || return 0
		[[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]]
		;;
	py) command -v python3 >/dev/null && python3 -c "import $name" 2>/dev/null ;;
	*) die "install.sh: unknown probe $1" ;;
	esac
}

install_list_missing() {
	local set need
	for set in "$@"; do
		local -n needs="install_needs_$set"
		for need in "${needs[@]}"; do
			install_probe "${need%%=*}" || printf '%s\n' "${need#*=}"
		done
	done
}

install_as_root() {
	if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

install_apt() {
	install_as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q \
		-o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"
}

# A package may bring a service; none may start, because our own run on ports of their own. A policy that is there already
# is its owner's and stays as it is.
install_policy=/usr/sbin/policy-rc.d

install_hold_services() {
	[[ ! -e $install_policy ]] || return 0
	printf '#!/bin/sh\n# Only while packages are being installed: no service starts by itself.\nexit 101\n' |
		install_as_root tee "$install_policy" >/dev/null
	install_as_root chmod 755 "$install_policy"
	trap 'install_as_root rm -f "$install_policy"' EXIT
}

install_packages() ( # a subshell: its EXIT trap takes the policy away again, whatever happens
	install_hold_services
	if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
		install_apt update && install_apt install --no-install-recommends "$@" || exit
	elif ! install_apt install --no-install-recommends "$@"; then # the lists may be old
		install_apt update && install_apt install --no-install-recommends "$@" || exit
	fi
	local service
	for service in redis-server prometheus; do
		if [[ " $* " == *" $service "* ]] && command -v systemctl >/dev/null; then
			install_as_root systemctl disable "$service.service" 2>/dev/null || true
		fi
	done
)

install_missing() {
	local log=$1 missing
	shift
	mapfile -t missing < <(install_list_missing "$@" | sort -u)
	((${#missing[@]} > 0)) || return 0

	command -v apt-get >/dev/null ||
		die "this is no Debian system (no apt-get); please install what Debian calls: ${missing[*]}"
	if ((EUID != 0)); then
		command -v sudo >/dev/null ||
			die "root is needed once, for: apt-get install --no-install-recommends ${missing[*]}"
		sudo -v || die "sudo was refused; it is needed for: apt-get install --no-install-recommends ${missing[*]}"
	fi
	run_logged "installing ${missing[*]}" "$log" install_packages "${missing[@]}" ||
		die "could not install: ${missing[*]}"
}
