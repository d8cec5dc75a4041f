#!/usr/bin/env bash
# Checks the GPU path on a real driver with one command. Where there is cargo, it makes a folder with everything; where there is
# none, it is that folder: copy `target/gpu-check` to the machine with the GPU and run `./gpu-check.sh` in it.
#
#   tests/gpu-check.sh [FOLDER]    builds into FOLDER (default: target/gpu-check), then checks if there is a driver
#   ./gpu-check.sh                 in that folder: checks
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ ! -x "$here/gpu_check" ]; then
    cd "$here/.."
    folder=${1:-target/gpu-check}
    cargo build --release --package cargo-bottleneck
    cargo build --release --package bottleneck-tests --bin gpu_check
    cargo build --release --package bottleneck-examples --features gpu \
        --example gpu_decode --example gpu_requests --example gpu_plain
    mkdir -p "$folder"
    cp target/release/cargo-bottleneck target/release/gpu_check "$folder"
    cp target/release/examples/gpu_{decode,requests,plain} "$folder"
    # The library of --gpu: the command builds it into its cache, in a run that needs no GPU.
    cache=$(mktemp -d)
    trap 'rm -rf "$cache"' EXIT
    # `true` records nothing, which the command calls an error.
    XDG_CACHE_HOME=$cache "$folder/cargo-bottleneck" bottleneck run --gpu --quiet -o "$cache/run" --exec -- true \
        2>"$cache/said" || true
    ls "$cache"/cargo-bottleneck/gpu-*/libbottleneck_gpu.so >/dev/null || { cat "$cache/said"; exit 1; }
    cp "$cache"/cargo-bottleneck/gpu-*/libbottleneck_gpu.so "$folder"
    cp "$here/gpu-check.sh" "$folder"
    echo "$folder holds everything; it needs no Rust toolchain where it is run"
    here=$(cd "$folder" && pwd)
fi

if ! ldconfig -p 2>/dev/null | grep -q libcuda.so.1 && [ -z "${LD_LIBRARY_PATH:-}" ]; then
    echo "no CUDA driver on this machine (libcuda.so.1): nothing is checked here"
    exit 3
fi
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
fi
exec "$here/gpu_check" "$here"
