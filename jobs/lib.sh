# shellcheck shell=bash
# Functions for the SLURM scripts of this folder, which source this file.
#
# A training job lives longer than an allocation. Each allocation continues from the newest checkpoint
# (--resume auto); before its limit it saves one, and the job puts itself back into the queue:
#
#   SLURM --USR1--> this script --USR1--> mpirun or srun --USR1--> ranks: save, exit code 75
#
# SLURM signals the script alone (--signal=B:USR1@N: B for batch script, N seconds before the limit,
# up to a minute earlier). bash runs a trap between commands only, hence the launcher in the
# background and a wait. TERM, which announces preemption, is passed on as USR1 too: mpirun answers a TERM
# by ending the ranks within a second.

# Exit codes of relgrad (docs/exit-codes.md) that this file acts on.
readonly exit_done=0 exit_usage=2 exit_disk=6 exit_stopped=75

say() { printf '%s %s: %s\n' "$(date '+%F %T')" "${SLURM_JOB_NAME:-relgrad}" "$*"; }
die() {  # die MESSAGE
  say "error: $*" >&2
  exit "$exit_usage"
}
need() {  # need VARIABLE EXAMPLE: ends the job where a setting is missing
  [[ ${!1:-} ]] || die "$1 is not set; submit with $1=$2 sbatch ..."
}

# The program: RELGRAD if set, that in PATH, or that of a build in the folder of submission.
find_relgrad() {
  local candidate
  for candidate in "${RELGRAD:-}" relgrad build/release/relgrad; do
    [[ $candidate ]] && command -v "$candidate" >/dev/null && { echo "$candidate"; return; }
    [[ $candidate && $candidate == "${RELGRAD:-}" ]] && die "RELGRAD: cannot run $candidate"
  done
  die "no relgrad in PATH, nor as build/release/relgrad in $PWD; set RELGRAD to its path"
}

# A launcher's words for SLURM's allocation: a rank for each task, with the cores of one.
threads=${SLURM_CPUS_PER_TASK:-1}
with_mpirun() {  # with_mpirun WORD...
  local placement=()
  ((threads == 1)) || placement=(--map-by "slot:PE=$threads" --bind-to core)
  # shellcheck disable=SC2206  # words are meant
  launch=("${MPIRUN:-mpirun}" "${placement[@]}" ${MPIRUN_OPTIONS:-} "$@")
}
with_srun() {  # with_srun WORD...
  # --kill-on-bad-exit: where one rank is lost, the others would wait for it for ever.
  # shellcheck disable=SC2206
  launch=(srun --mpi=pmix --cpus-per-task="$threads" --kill-on-bad-exit=1 ${SRUN_OPTIONS:-} "$@")
}

newest_checkpoint() {  # its name, or nothing; names sort by step; that of the start is no step forward
  local found=("$RUN"/ckpt/step-*[1-9]*/manifest.json)
  [[ -e ${found[-1]} ]] && basename "$(dirname "${found[-1]}")"
}
# STATUS is replaced as a whole: who knows inode and time knows whether it has been written since.
status_identity() { stat -c '%i %y' "$RUN/STATUS" 2>/dev/null; }
status_state() { sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p' "$RUN/STATUS" 2>/dev/null; }

# Ranks may outlive their launcher: mpirun of Open MPI 5 ends at a second TERM without telling them, and scancel of
# SLURM 24 sends two. This asks rank 0, which LOCK names, to stop; SLURM kills what is left when this script ends.
stop_ranks_without_launcher() {
  local try pid
  for try in {1..100}; do
    pid=$(rank_0_here) && [[ $pid ]] || return 0
    ((try > 1)) || kill -USR1 "$pid"
    sleep 0.25
  done
}
rank_0_here() {  # its process, where it is of this job and runs on this node
  local host owner pid started
  IFS=, read -r host owner pid started < <(sed -n \
    's/.*"host": *"\([^"]*\)", *"job": *"\([^"]*\)", *"pid": *\([0-9]*\), *"started": *"\([0-9]*\)".*/\1,\2,\3,\4/p' \
    "$RUN/LOCK" 2>/dev/null)
  [[ $pid && $host == "$(hostname)" && $owner == "${SLURM_JOB_ID:-}" ]] || return 1
  # field 22 of proc(5): when it started; another process may have the number by now
  [[ $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d ' ' -f 20) == "$started" ]] && echo "$pid"
}

# Runs `launch` to its end, passing signals on, and sets `code`.
preempted=0 launcher=
pass_on() {  # pass_on WHY
  say "$1: asking the ranks to save and stop"
  [[ -z $launcher ]] || kill -USR1 "$launcher" 2>/dev/null || true
}
run_launcher() {
  trap 'pass_on "USR1, the time limit is near"' USR1
  trap 'preempted=1; pass_on "TERM, preempted or cancelled"' TERM
  "${launch[@]}" &
  launcher=$!
  # A trap ends the wait, not the launcher.
  while kill -0 "$launcher" 2>/dev/null; do wait "$launcher" || true; done
  code=0
  wait "$launcher" || code=$?
  stop_ranks_without_launcher
  trap '' USR1 TERM  # a requeue ends this script with TERM
}

# How it ended, in a word: done, stopped, failed or crashed. The exit code decides where it is one of
# relgrad's; a launcher that was signalled makes others of it, and then STATUS tells.
outcome() {
  ((code == exit_done)) && { echo "done"; return; }
  ((code == exit_stopped)) && { echo stopped; return; }
  ((code >= exit_usage && code <= exit_disk)) && { echo failed; return; }
  [[ $(status_identity) == "$status_before" ]] && { echo crashed; return; }
  case $(status_state) in
    done) echo "done" ;;
    stopped) echo stopped ;;
    diverged | failed) echo failed ;;
    *) echo crashed ;;  # running: it could not write another word
  esac
}

# Why the job must not go back into the queue; nothing where it may.
objection() {  # objection OUTCOME
  local state reason
  [[ $1 != failed ]] || { echo "exit code $code needs somebody to look"; return; }
  [[ ! -e $RUN/STOP ]] || { echo "$RUN/STOP asks it to stay stopped"; return; }
  [[ ${SLURM_JOB_ID:-} ]] || { echo "it is not a SLURM job"; return; }
  ((${SLURM_RESTART_COUNT:-0} < MAX_RESTARTS)) ||
    { echo "it was restarted MAX_RESTARTS=$MAX_RESTARTS times"; return; }
  # A job that scancel ends gets TERM as well, but SLURM no longer calls it running.
  read -r state reason < <(squeue -h -j "$job" -o '%T %r') || true
  [[ ${state:-RUNNING} == RUNNING || $reason == TimeLimit ]] || { echo "it was cancelled"; return; }
  # Without a step forward the next allocation would end as this one did.
  [[ $(newest_checkpoint) > $checkpoint_before ]] || ((preempted)) ||
    echo "there is no newer checkpoint than at its start (${checkpoint_before:-none}):" \
      "it crashes early, or --time is too short for --signal"
}

# relgrad stops by itself before SLURM_JOB_END_TIME; SLURM before 23.02 does not tell it.
tell_end_time() {
  local end
  [[ -z ${SLURM_JOB_END_TIME:-} && $job ]] && end=$(squeue -h -j "$job" -o %e) &&
    SLURM_JOB_END_TIME=$(date -d "$end" +%s 2>/dev/null) && export SLURM_JOB_END_TIME
  return 0
}

# train_until_done: runs `launch` in this allocation, then ends, or requeues, the job.
train_until_done() {
  local how why
  # A task of an array goes by both numbers: SLURM_JOB_ID may be that of the whole array.
  job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
  job=${job:-${SLURM_JOB_ID:-}}
  tell_end_time
  checkpoint_before=$(newest_checkpoint)
  status_before=$(status_identity)
  say "start ${SLURM_RESTART_COUNT:-0} of $RUN on ${SLURM_JOB_NODELIST:-$(hostname)}," \
    "from ${checkpoint_before:-scratch}: ${launch[*]}"
  run_launcher
  how=$(outcome)
  say "$how: exit code $code, checkpoint $(newest_checkpoint)"
  [[ $how != "done" ]] || exit "$exit_done"
  [[ $how != stopped ]] || code=$exit_stopped
  why=$(objection "$how")
  if [[ $why ]]; then
    say "not requeued: $why"
  elif scontrol requeue "$job"; then
    say "requeued"
  else
    say "not requeued: scontrol refuses (above)"
  fi
  exit "$code"
}
