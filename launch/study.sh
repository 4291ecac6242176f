#!/usr/bin/env bash
# The estimate, then the model, with the same flags: for one batch job, or behind nohup or tmux where the terminal
# may close.
#
#   launch/study.sh --config=configs/smoke.py --workdir=runs/smoke [--config.search.trials=32 ...]
#
# Stops at the first command that fails, with its exit code; the same call resumes.
set -euo pipefail
python=${PYTHON:-"$(dirname "$0")/../.venv/bin/python"}
command -v "$python" >/dev/null || python=python3

for word in "$@"; do
  case "$word" in
    --outer_folds | --outer_folds=* | -outer_folds | -outer_folds=*)
      echo "study.sh: --outer_folds is a flag of evaluate alone: call 'nachos evaluate' with it for these folds," \
        "then study.sh without it." >&2
      exit 2
      ;;
  esac
done

"$python" -m nachos_jax evaluate "$@"
"$python" -m nachos_jax deploy "$@"
