#!/bin/sh
# Builds the example host and runs it with libwaku and this library.
#
#   examples/c/run.sh [valgrind]
#
# LIBWAKU_PATH names the libwaku to use; without it, the drop-in replacement is built and used. With the
# argument valgrind, the run fails on any invalid memory access and on any memory leak.
# Needs cc. BUILT names a directory that already holds both libraries, so that nothing is built.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
if [ -z "${BUILT:-}" ]; then
  (cd "$root" && cargo build --locked -p waku-chat -p waku-node-capi)
  BUILT=${CARGO_TARGET_DIR:-$root/target}/debug
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/data"
ln -s "$BUILT/libwaku_chat.so" "$work/libwaku_chat.so"
ln -s "$BUILT/libwaku_chat.so" "$work/libwaku_chat.so.0"
ln -s "${LIBWAKU_PATH:-$BUILT/libwaku_node_capi.so}" "$work/libwaku.so"
"${CC:-cc}" -std=c11 -Wall -Wextra -Wpedantic -Werror -g -I "$root/include" -I "$root/vendor" \
  "$root/examples/c/host.c" -L "$work" -lwaku_chat -lwaku -lpthread -o "$work/host"
case ${1:-} in
  valgrind) set -- valgrind --error-exitcode=9 --leak-check=full \
      --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \
      --fair-sched=yes --num-callers=30 "$work/host" ;;
  *) set -- "$work/host" ;;
esac
LD_LIBRARY_PATH=$work "$@" "$work/data"
