#!/bin/bash
# Headstart, sweep part2: all of its trials on one Ray cluster over the nodes of this job
# Written by: python -m slurm.submit sweeps/part2.yaml --nodes 2
#
# A Ray cluster of this job's own is started on its nodes, the sweep runs on it, and all of
# it is ended again. When SLURM announces the end, trials save their state and the job goes
# back into the queue, where it goes on.

#SBATCH --job-name=part2
#SBATCH --partition=gpu
#SBATCH --time=2:00:00
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=8
#SBATCH --signal=B:USR2@120
#SBATCH --output=/home/me/runs/part2/slurm/%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --constraint='a100|h100'
#SBATCH --exclusive

set -o pipefail  # not -e: exit statuses are looked at

job=$SLURM_JOB_ID

say() { echo "[$(date '+%F %T') $(hostname -s) job $job] $*"; }
nap() { sleep 1 & wait $!; }  # a signal ends a wait, and would not end a sleep

# --- notice ------------------------------------------------------------------------------------
driver=   # process id of what runs in front, while it runs
notice=   # the signal that told this job to stop
deadline= # in seconds of this shell's life: the driver is not waited for beyond it

# SLURM sends USR2 to this shell alone, 120 s (or up to a minute more) before the end or when
# the job is preempted, and TERM when it is cancelled. Trials then save their state and stop.
on_notice() {
  notice=$1
  deadline=$((SECONDS + 80))
  say "SIG$1 came: trials save and stop"
  [ -z "$driver" ] || kill -USR2 "$driver" 2>/dev/null
}
trap 'on_notice USR2' USR2
trap 'on_notice TERM' TERM

# This node, and not the sweep, is why nothing can run.
unfit() {
  say "this node cannot run the sweep: $1"
  exit 2
}

# Runs a command up to three times until it succeeds: SLURM's controller may be busy for a moment.
patiently() { "$@" || { nap; "$@"; } || { nap; "$@"; }; }

# What SLURM says of this job, on one line.
show_job() { SLURM_TIME_FORMAT=standard patiently scontrol show job --oneliner "$job"; }

# Whether this job may go back into the queue; says why not. Leaves in `shown` what SLURM says of it.
may_go_back() {
  if ! shown=$(show_job); then
    say "not requeued: SLURM did not answer; submit again to go on"
  elif [[ $shown != *" JobState=RUNNING "* ]]; then
    say "not requeued: it was cancelled, or SLURM ends it"
  elif [[ $shown == *" Requeue=0 "* ]]; then
    say "not requeued: it may not be (slurm.cancel, or the site's rule)"
  elif ((${SLURM_RESTART_COUNT:-0} >= 100)); then
    say "not requeued: it was 100 times (setting max_requeues)"
  else
    return 0
  fi
  return 1
}

go_back() {
  trap '' TERM  # SLURM ends this shell then
  scontrol requeue "$job" && return
  say "not requeued: SLURM refused; submit again to go on"
  return 1
}

# --- environment -------------------------------------------------------------------------------
source /home/me/.venv/bin/activate
set -u  # from here on: lines of a site, and what conda and modules do, may not bear it
cd /home/me || unfit "the working folder cannot be entered"
export PYTHONPATH=/opt/headstart"${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONSAFEPATH=1  # not packages of the working folder, whatever they are called
export SLURM_EXPORT_ENV=ALL  # steps see what is exported here, whatever --export was asked for
python=(python)
run=/home/me/runs/part2
sweep=("${python[@]}" -m harness.sweep /home/me/runs/part2/slurm/sweep.yaml --out /home/me/runs/part2 --profile cluster --engine ray)

# Everything temporary of this start, on every node, is in one folder that is removed at the end. A
# node that was cut off may still be at an earlier start: it must not remove what is this one's.
start=$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}
scratch="${SLURM_TMPDIR:-}"
tmp="${scratch:-/tmp}/hs-$start"
rm -rf "${scratch:-/tmp}/hs-$SLURM_JOB_ID"-*
mkdir -m 700 "$tmp" || unfit "no folder for temporary files"
trap 'rm -rf "$tmp"' EXIT
# Decoded data is kept near the processor where the site has a node-local folder; downloads, which
# a node may not be able to repeat, stay where they are.
export HEADSTART_DOWNLOADS="${HEADSTART_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/headstart}/downloads"
[ -z "$scratch" ] || export HEADSTART_CACHE="$tmp/cache"
export TMPDIR="$tmp"

# --- stop and go on ----------------------------------------------------------------------------
# Run the command given as arguments in the background; returns its exit status, over 128 where a
# signal or `lost` ended it.
drive() {
  [ -z "$notice" ] || return 75
  "$@" & driver=$!
  [ -z "$notice" ] || kill -USR2 "$driver"  # it came between these lines
  while kill -0 "$driver" 2>/dev/null; do
    if lost || { [ -n "$notice" ] && ((SECONDS > deadline)); }; then
      kill -KILL "$driver" 2>/dev/null
      break
    fi
    nap
  done
  wait "$driver"
  local status=$?
  driver=
  return $status
}

# Whether a trial has ended or saved its state since this start: without, going on leads nowhere.
# Trials that ended together lie in an archive below packs/.
progressed() {
  [ -n "$(find "$run/trials" "$run/packs" -newer "$tmp/began" \
    \( -name trial.json -o -name 'state-*' -o -name '*.zip' \) -print -quit 2>/dev/null)" ]
}

# Whether the notice came long before the time limit: then it is preemption, and says nothing
# about whether the time is enough.
preempted() { [ -n "$ends" ] && (($(date +%s) < ends - 210)); }
ends=$(show_job | sed -n 's/.* EndTime=\([^ ]*\).*/\1/p')
ends=$(date --date="$ends" +%s 2>/dev/null)  # empty where there is no limit

# Put this job back into the queue, where the same command goes on.
requeue() {
  local shown
  may_go_back || return
  if ! preempted && ! progressed; then
    say "not requeued: no trial ended and none saved its state since this start; give it more time, or make evaluations more frequent (or it is the report that takes longer)"
  elif go_back; then
    say "requeued: it goes on from the saved states"
  fi
}

sweep+=(--slots 16)  # trials that the GPUs of all nodes take at once

# --- one Ray cluster over the nodes of this job --------------------------------------------------
private="$run/slurm/.job-$start"  # token, address, round: for this user alone, of this start
head=$SLURMD_NODENAME                    # the node of this shell
keepers=()
head_step=
rm -rf "$run/slurm/.job-$SLURM_JOB_ID"-*; mkdir -m 700 "$private" ||
  unfit "no private folder below the run folder"
(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$private/token")
unset RAY_AUTH_TOKEN  # which would take the place of the token in the file
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$private/token"
trap 'stop_cluster; rm -rf "$private" "$tmp"' EXIT

# A step on node $1 in which Ray runs as $2 (head or worker) until the round is over. It is this
# job's own Ray: other ports, folder and token than any other, and only its own processes end.
ray_step() {
  exec srun --overlap --no-kill --kill-on-bad-exit=0 --nodes=1 --ntasks=1 --mem=0 \
    --cpus-per-task=16 \
    --nodelist="$1" "${python[@]}" -m slurm.ray_node "$2" "$private" \
    --round "$round" --tmp "$tmp" --head "$head" --interface ib0
}

# Keeps Ray running on node $1; after five ends that nobody asked for, the node is given up.
keep() {
  local step= try
  trap 'kill -KILL "$step" 2>/dev/null; exit' TERM
  for try in 1 2 3 4 5; do
    (ray_step "$1" worker) & step=$!
    wait "$step"
    [ "$(cat "$private/round" 2>/dev/null)" = "$round" ] || return
    say "Ray on $1 ended; start $try of 5 was in vain or is over"
    nap; nap; nap
  done
  say "the sweep goes on without $1"
}

# The head first; the others are started when it answers, and join while trials run already.
start_cluster() {
  echo "$round" > "$private/round"
  (ray_step "$head" head) & head_step=$!
  until [ -s "$private/address-$round" ]; do
    [ -z "$notice" ] || return 75
    kill -0 "$head_step" 2>/dev/null || { wait "$head_step"; return $?; }
    nap
  done
  local node
  for node in $(scontrol show hostnames "$SLURM_JOB_NODELIST"); do
    [ "$node" = "$head" ] || { keep "$node" & keepers+=($!); }
  done
}

stop_cluster() {
  local until=$((SECONDS + 20)) pid
  echo end > "$private/round"
  for pid in $head_step "${keepers[@]:-}"; do
    while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && ((SECONDS < until)); do nap; done
    [ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null
  done
  head_step= keepers=()
}

# The head's end is the cluster's; before it starts, nothing can be lost.
lost() { [ -n "$head_step" ] && ! kill -0 "$head_step" 2>/dev/null; }

run_once() {
  local status
  start_cluster && drive "${sweep[@]}" --address "$(cat "$private/address-$round")"
  status=$?
  stop_cluster
  return $status
}

# --- run ---------------------------------------------------------------------------------------
# The time of the start by the clock of the run folder's own file system.
touch "$run/slurm/.clock-$start" && mv "$run/slurm/.clock-$start" "$tmp/began" ||
  unfit "nothing can be written into the run folder"
drive "${python[@]}" -m slurm.prepare "$run" --shard 1/1
status=$?
((status == 0)) || [ -n "$notice" ] ||
  unfit "Python does not start, or cannot prepare it (status $status)"
for round in 1 2 3; do
  [ -z "$notice" ] || { status=75; break; }
  say "start ${SLURM_RESTART_COUNT:-0}.$round of the sweep"
  run_once
  status=$?
  ((status > 128)) && [ -z "$notice" ] || break
  say "the sweep was killed (status $status); it goes on from the last states"
done
if [ -n "$notice" ] && ((status == 75 || status > 128)); then
  requeue
  status=75
fi
say "ends with status $status"
exit $status
