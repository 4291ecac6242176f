#!/usr/bin/env bash
# All benchmarks that need an accelerator, in one command; results as JSON in benchmarks/results.
#
#   benchmarks/gpu.sh                                    # with python3 of the PATH
#   PYTHON=.venv/bin/python benchmarks/gpu.sh OUT_FOLDER
#
# Steps of three networks and two U-Nets in both precisions, in every lowering and packing that `auto` times on a
# GPU, against PyTorch in one process and in eight, and against the measured rates of matrix products and copies;
# then the whole protocol. Works with JAX 0.10 and 0.11. Without PyTorch, or with one that sees no GPU, what needs it
# is left out, which the output says. A part that fails is named at the end and does not stop the others.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
python=${PYTHON:-python3}
out=${1:-$here/results}
# JAX would take most of the memory at once, and PyTorch's processes need some too.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
failed=()

part() {
  echo "--- $*"
  "$python" -m "benchmarks.$1" "${@:2}" --out "$out" || failed+=("$*")
}

"$python" -c 'import jax; print("JAX", jax.__version__, "on", *{d.device_kind for d in jax.devices()})'
if ! "$python" -c 'import sys, jax; sys.exit(jax.devices()[0].platform == "cpu")'; then
  echo "JAX sees no accelerator here: install its GPU build (see BUILD.md), or run make bench." >&2
  exit 1
fi

for precision in float32 bfloat16; do
  part speed.rates --precision "$precision"
  part speed.steps --model cnn --precision "$precision" --lanes 32 --steps 96 --candidates auto,table --processes 8
  part speed.steps --model resnet18 --width 64 --pixels 28 --precision "$precision" --lanes 8 --steps 24 \
    --candidates auto,table --processes 8
  part speed.steps --model resnet18 --width 64 --pixels 64 --precision "$precision" --lanes 8 --steps 12 \
    --candidates auto,table --processes 8
  part speed.unet_steps --axes 2 --width 32 --depth 5 --precision "$precision" --steps 20 \
    --candidates lax/map,custom/map,lax/vmap
  part speed.unet_steps --axes 3 --width 32 --depth 4 --side 48 --batch 6 --precision "$precision" --steps 10 \
    --candidates lax/map,fold/map
done
if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  part speed.protocol --processes 8
else
  echo "PyTorch is missing or sees no GPU: protocol.py, which compares with it, is left out."
fi
part speed.overhead
part speed.stream

echo "results: $out"
if ((${#failed[@]})); then
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
