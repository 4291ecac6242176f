#!/usr/bin/env bash
# A SLURM of one node on this machine, to try launch/slurm.sbatch on. For Debian and Ubuntu; needs no systemd.
#
#   launch/testing/slurm.sh start [FOLDER]   installs SLURM by apt if it is missing (as root), and starts it
#   launch/testing/slurm.sh stop [FOLDER]    ends it and all its jobs; what lies in FOLDER stays
#
# FOLDER is /tmp/nachos_slurm when left out. SLURM's commands find this cluster by
# SLURM_CONF=FOLDER/slurm.conf. It has four slots on any machine, and two partitions: jobs in "urgent"
# take the place of those in "batch", which have a minute to save their work and are put back into the queue.
set -euo pipefail

action=${1:-}
folder=$(realpath -m "${2:-${TMPDIR:-/tmp}/nachos_slurm}")
export SLURM_CONF=$folder/slurm.conf
PATH=$PATH:/usr/sbin:/sbin

install_slurm() {
  command -v slurmctld slurmd munged sbatch >/dev/null && return
  echo "slurm.sh: installing SLURM by apt"
  export DEBIAN_FRONTEND=noninteractive
  # Packages start their daemons with settings of their own, which nobody needs here.
  local policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  { apt-get update && apt-get install --yes --no-install-recommends slurmctld slurmd slurm-client munge; } \
    >"$folder/apt.log" 2>&1 || { tail "$folder/apt.log" >&2 && exit 1; }
}

write_settings() {
  local user host
  user=$(id -un) host=$(hostname -s)
  # A requeued job waits until its credential has expired: two minutes when left out.
  cat >"$SLURM_CONF" <<END
ClusterName=testing
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=36817
SlurmdPort=36818
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$host NodeAddr=127.0.0.1 CPUs=4
PartitionName=batch Nodes=ALL Default=YES PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF
END
}

is_up() { [[ $(sinfo --noheader --format=%T 2>/dev/null | sort -u) =~ ^(idle|mixed|allocated)$ ]]; }

start() {
  is_up && echo "slurm.sh: it runs already" && return
  mkdir -p "$folder"/{state,spool}
  chmod 755 "$folder"
  install_slurm
  write_settings
  [[ -e $folder/munge.key ]] || mungekey --create --keyfile="$folder/munge.key"
  munged --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
  slurmctld
  slurmd
  for _ in {1..60}; do
    is_up && sinfo && echo "slurm.sh: it runs; export SLURM_CONF=$SLURM_CONF" && return
    sleep 0.5
  done
  echo "slurm.sh: it does not come up; see the logs in $folder" >&2
  exit 1
}

stop() {
  scancel --me 2>/dev/null || true
  local name pid
  for name in slurmd slurmctld munged; do
    pid=$(cat "$folder/$name.pid" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null || continue
    for _ in {1..60}; do kill -0 "$pid" 2>/dev/null || break && sleep 0.25; done
    echo "slurm.sh: $name has ended"
  done
}

case $action in
  start) start ;;
  stop) stop ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
