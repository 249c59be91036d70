#!/usr/bin/env bash
# Measures this library on the accelerator of this machine, without a network, in nine minutes:
#     benchmarks/accelerator.sh [--out DIR] [--seconds 520] [CELL ...]
# Writes DIR/accelerator.md and DIR/accelerator.json after every measurement. The package is taken
# from this working tree; it needs neither an installation, nor tyro, nor tensorflow-datasets.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" "$root/benchmarks/accelerator.py" "$@"
