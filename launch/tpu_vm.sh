#!/usr/bin/env bash
# A run on all hosts of a Cloud TPU slice, one process a host. From your own machine:
#
#   launch/tpu_vm.sh NAME ZONE evaluate --config=configs/csv.py --workdir=/runs/mine
#   launch/tpu_vm.sh NAME ZONE stop    in another terminal: saves the lanes and ends; the first line resumes
#
# Every host needs the checkout with its .venv in the same place, and --workdir on a disk that all share,
# like Filestore. From the environment:
#
#   CHECKOUT       where the checkout lies on the hosts, from the home folder if relative (nachos_jax)
#   TPU_CHIPS      chips of a host (1, 2, 4 or 8), where the script does not find them
#   GCLOUD_FLAGS   more flags for gcloud, like "--project=mine --internal-ip"
set -euo pipefail
shopt -s inherit_errexit nullglob

port=8482 # of process 0, the one that JAX takes for itself; libtpu has 8471 and 8476
pid_file=.nachos.pid

on_all_hosts() { # the words of a command
  local more=()
  read -ra more <<<"${GCLOUD_FLAGS:-}"
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all "${more[@]}" \
    --command="cd $(printf '%q' "${CHECKOUT:-nachos_jax}") && $(printf '%q ' "$@")"
}

metadata() { # the name of an attribute of this host
  local server=${GCE_METADATA_IP:-metadata.google.internal}
  curl --silent --show-error --fail --retry 5 --header 'Metadata-Flavor: Google' \
    "http://$server/computeMetadata/v1/instance/attributes/$1"
}

# On a host: its number, the number of hosts, and the address of the first. GKE tells them in the environment.
place() {
  local hosts=${TPU_WORKER_HOSTNAMES:-} number=${TPU_WORKER_ID:-} each
  if [[ -z $hosts || -z $number ]]; then
    hosts=$(metadata worker-network-endpoints)
    number=$(metadata agent-worker-number)
  fi
  IFS=, read -ra each <<<"$hosts"
  echo "$number ${#each[@]} ${each[0]##*:}" # an entry is HOST, or NAME:ID:ADDRESS
}

# On a host. libtpu would make one machine of all hosts, which starts when the last of them does. Processes
# of nachos exchange nothing but short texts, so each libtpu is told that its host's chips are all there are.
run_here() {
  local found number count first chips sides devices=(/dev/accel[0-9]* /dev/vfio/[0-9]*)
  chips=${TPU_CHIPS:-${#devices[@]}}
  case $chips in
    1) sides=1,1,1 ;;
    2) sides=1,2,1 ;;
    4) sides=2,2,1 ;;
    8) sides=2,4,1 ;;
    *) echo "tpu_vm.sh: $(hostname) has $chips TPU chips? Give TPU_CHIPS=1, 2, 4 or 8." >&2 && exit 2 ;;
  esac
  found=$(place)
  read -r number count first <<<"$found"
  export JAX_COORDINATOR_ADDRESS=$first:$port JAX_NUM_PROCESSES=$count JAX_PROCESS_ID=$number
  export TPU_WORKER_HOSTNAMES=localhost TPU_WORKER_ID=0
  export TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=$sides
  TPU_VISIBLE_CHIPS=$(seq -s, 0 $((chips - 1)))
  export TPU_VISIBLE_CHIPS
  echo $$ >"$pid_file"
  exec "${PYTHON:-.venv/bin/python}" -m nachos_jax "$@"
}

if [[ ${1:-} == here ]]; then
  run_here "${@:2}"
elif [[ $# -lt 3 ]]; then
  sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
name=$1 zone=$2
if [[ $3 == stop ]]; then
  on_all_hosts bash -c "kill -TERM \"\$(cat $pid_file)\""
else
  on_all_hosts env ${TPU_CHIPS:+"TPU_CHIPS=$TPU_CHIPS"} launch/tpu_vm.sh here "${@:3}"
fi
