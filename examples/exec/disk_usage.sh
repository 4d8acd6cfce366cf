#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Exec activity: the JSON string of a folder on stdin -> {"kib":N} on stdout. Exit status 100: not to be retried.
set -eu
folder=$(cat)
folder=${folder#\"}
folder=${folder%\"}
if [ ! -d "$folder" ]; then
	echo "no such folder: $folder" >&2
	exit 100
fi
kib=$(du -sk -- "$folder" | cut -f1)
printf '{"kib":%s}\n' "$kib"
