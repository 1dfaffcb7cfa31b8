#!/bin/sh
# Runs walk.c on the drop-in under valgrind: no invalid access, and no memory lost.
#
#   waku-node-capi/tests/sanitize.sh [directory with libwaku_node_capi.so]
#
# Without a directory the library is built first. Needs cc and valgrind.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
if [ $# -ge 1 ]; then
  built=$1
else
  (cd "$root" && cargo build --locked -p waku-node-capi)
  built=${CARGO_TARGET_DIR:-$root/target}/debug
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$built/libwaku_node_capi.so" "$work/libwaku.so"
"${CC:-cc}" -std=c11 -Wall -Wextra -Werror -g -I "$root/vendor" "$root/waku-node-capi/tests/walk.c" \
  -L "$work" -lwaku -lpthread -o "$work/walk"
# What is definitely or indirectly lost is an error. The rest is told, and explained in the README.
LD_LIBRARY_PATH=$work valgrind --error-exitcode=9 --leak-check=full \
  --show-leak-kinds=definite,indirect,possible --errors-for-leak-kinds=definite,indirect \
  --fair-sched=yes --num-callers=30 "$work/walk"
