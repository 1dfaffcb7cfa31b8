#!/bin/sh
# Runs the tests on a library under valgrind, shorter than usual: nothing is used after it was freed,
# and nothing is lost.
#
#   waku-sys/tests/valgrind.sh
#
# Needs valgrind. Runs on what LIBWAKU_PATH names, or else on the drop-in.
set -eu
cd "$(dirname "$0")/.."
cargo build --locked -p waku-node-capi
export WAKU_STRESS_CYCLES=40 WAKU_STRESS_CALLS=1000 WAKU_STRESS_MESSAGES=200
for suite in attach calls cycles mesh traffic; do
  # Cargo names the program that it has built: "Executable tests/calls.rs (…/deps/calls-0123…)".
  program=$(cargo test --locked -p waku-sys --test "$suite" --no-run 2>&1 |
    sed -n 's/.*Executable.*(\(.*\))/\1/p')
  case $program in /*) ;; *) program=../$program ;; esac
  valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect \
    --errors-for-leak-kinds=definite,indirect --fair-sched=yes --num-callers=30 \
    "$program" --nocapture --test-threads=1
done
