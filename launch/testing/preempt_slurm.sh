#!/usr/bin/env bash
# Tries launch/slurm.sbatch on a real SLURM: a run of two processes is stopped as before a time limit, then
# loses its place to an urgent job, is requeued both times, and must end with the predictions of one process.
#
#   launch/testing/preempt_slurm.sh [FOLDER]
#
# The SLURM of launch/testing/slurm.sh is started, and stopped at the end unless it was there before.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$(realpath -m "${1:-${TMPDIR:-/tmp}/nachos_slurm}")
export PYTHON=${PYTHON:-$PWD/.venv/bin/python} JAX_PLATFORMS=cpu SLURM_CONF=$folder/slurm.conf
runs=$folder/runs
flags=(evaluate --config=configs/smoke.py)

say() { echo "$(date +%T) $*"; }
give_up() { say "FAILED: $*" >&2 && exit 1; }

fits() { find "$runs/two/records/evaluate/fits" -name '*.json' 2>/dev/null | wc -l; }
field() { scontrol --oneliner show job "$job" | grep -oP "(?<= $1=)\S+"; }

wait_for() { # seconds, what, and a command that says yes when it is there
  local until=$((SECONDS + $1)) what=$2
  until "${@:3}"; do
    ((SECONDS < until)) || give_up "$what: not in $1 seconds; see $runs/two.log"
    sleep 0.3
  done
}
have_fits() { [[ $(fits) -ge $1 ]]; }
is_field() { [[ $(field "$1") == "$2" ]]; }
has_ended() { [[ $(field JobState) =~ ^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL)$ ]]; }

was_up=yes
SLURM_CONF=$folder/slurm.conf sinfo >/dev/null 2>&1 || was_up=no
launch/testing/slurm.sh start "$folder"
[[ $was_up == yes ]] || trap 'launch/testing/slurm.sh stop "$folder"' EXIT
rm -rf "$runs"
mkdir -p "$runs"

job=$(sbatch --parsable --nodes=1 --ntasks-per-node=2 --cpus-per-task=2 --time=60 --output="$runs/two.log" \
  launch/slurm.sbatch "${flags[@]}" --workdir="$runs/two")
say "job $job: two processes"

wait_for 300 "a first fit" have_fits 3
say "$(fits) fits are on disk; SIGUSR1 to the tasks, as SLURM sends it before a time limit"
scancel --signal=USR1 "$job"
wait_for 120 "a first restart" is_field Restarts 1

saved=$(fits)
wait_for 300 "fits after the restart" have_fits $((saved + 5))
urgent=$(sbatch --parsable --partition=urgent --exclusive --output=/dev/null --wrap="sleep 3")
say "$(fits) fits are on disk; job $urgent is urgent and takes the place"
wait_for 120 "a second restart" is_field Restarts 2

wait_for 900 "the end" has_ended
say "$(fits) fits are on disk; job $job: $(field JobState) after $(field Restarts) restarts"
[[ $(field JobState) == COMPLETED ]] || give_up "exit code $(field ExitCode); see $runs/two.log"

"$PYTHON" -m nachos_jax "${flags[@]}" --workdir="$runs/one" &>"$runs/one.log" || give_up "see $runs/one.log"
cmp "$runs/one/predictions.csv" "$runs/two/predictions.csv" || give_up "other predictions than of one process"
say "PASSED: the predictions are those of one process"
