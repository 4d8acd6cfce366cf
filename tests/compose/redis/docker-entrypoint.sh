#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# redis-server runs as redis, whoever the container runs as; everything is reachable, as in the official image.
set -e
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	chown -R redis:redis .
	exec setpriv --reuid=redis --regid=redis --clear-groups -- "$@" --protected-mode no
fi
exec "$@"
