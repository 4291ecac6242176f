#!/usr/bin/env bash
# The estimate, then the model, with the same flags: for a terminal that may close, or one batch job.
#
#   launch/study.sh --config=configs/smoke.py --workdir=runs/smoke [--config.search.trials=32 ...]
#
# Stops at the first command that fails, with its exit code; the same call resumes.
set -euo pipefail
python=${PYTHON:-"$(dirname "$0")/../.venv/bin/python"}
command -v "$python" >/dev/null || python=python3

"$python" -m nachos_jax evaluate "$@"
"$python" -m nachos_jax deploy "$@"
