#!/bin/bash
# Headstart, sweep part2: tables and report from what the shards have done
# Written by: python -m slurm.submit sweeps/part2.yaml --nodes 2
#
# The last job: it runs when all shards have ended, however they ended.

#SBATCH --job-name=part2-report
#SBATCH --partition=gpu
#SBATCH --time=2:00:00
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:USR2@120
#SBATCH --output=/home/me/runs/part2/slurm/%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
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
  elsewhere
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

# Put this job back into the queue for other nodes; after 3 that could not, it is no node's fault.
elsewhere() {
  local shown out others
  may_go_back || return
  out=$(sed -n 's/.* ExcNodeList=\([^ ]*\).*/\1/p' <<< "$shown")
  [ "$out" = "(null)" ] && out=
  out=$SLURMD_NODENAME${out:+,$out}
  others=$(sinfo --noheader --Node --partition="$SLURM_JOB_PARTITION" --states=idle,mix,alloc \
    --format=%N | grep -vxFf <(scontrol show hostnames "$out"))
  if [ -z "$others" ] || (($(scontrol show hostnames "$out" | wc -l) > 3)); then
    say "not requeued: no other node is left to try"
  elif go_back; then
    if patiently scontrol update JobId="$job" ExcNodeList="$out"; then
      say "requeued, for other nodes than $out"
    else
      say "requeued, for any node: SLURM refused to leave out $out"
    fi
  fi
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
sweep=("${python[@]}" -m harness.sweep /home/me/runs/part2/slurm/sweep.yaml --out /home/me/runs/part2 --profile cluster --engine local --only report)

# Everything temporary of this start, on every node, is in one folder that is removed at the end. A
# node that was cut off may still be at an earlier start: it must not remove what is this one's.
start=$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}
scratch="${SLURM_TMPDIR:-${TMPDIR:-}}"
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
    say "not requeued: the report takes longer than this; give it more time, or run python -m analysis"
  elif go_back; then
    say "requeued: it goes on from the saved states"
  fi
}

lost() { false; }  # nothing that this job needs can be lost
run_once() { drive "${sweep[@]}"; }

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
