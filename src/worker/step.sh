# Start-or-attach, run in the sandbox as: bash -c THIS step DIR LIMIT_MS OUT_FROM ERR_FROM OUT_MAX ERR_MAX MARK
#                                                          CPU_PERCENT CWD INPUT -- program args
#                                     or: bash -c THIS stop DIR
# The first caller that makes DIR starts the program, all others attach. Everybody then prints what the program
# printed, beginning at the offsets OUT_FROM and ERR_FROM, until it ended, and last of all, on stderr, the report:
#     MARK how number cpu_ms peak_bytes oom results
# how: exit N | signal N | timeout 0 | lost 0 (its runner died: killed from outside) | unstarted 0 (begun, but there
# is no program). -1: not measured. oom 1: the kernel killed for memory meanwhile. results 1: DIR/results has some.
#
# DIR holds: out, err (the first OUT_MAX and ERR_MAX bytes), pid (the runner, its start time, the program's process
# group, the kernel's count of memory kills before), status (written once, after the outputs), and from the program
# itself, as E2B_WORKER_RECORD tells it, results and usage. pid and status are one line each, written at once, and
# count only with the word "end" at their end.
#
# One fork more is 1 ms more in front of every job, so most of this is builtins; an external program is called only
# where none will do.

PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# DIR/$1 into the array `words`, if it is complete.
read_line() {
    words=()
    [[ -s $dir/$1 ]] && read -r -a words <"$dir/$1" 2>/dev/null
    [[ ${#words[@]} -gt 0 && ${words[${#words[@]} - 1]} == end ]]
}

# State and start time of process $1 into `state` and `started`: its name, in parentheses, may hold anything.
read_process() {
    local line fields
    state=X started=0
    { read -r -d '' line <"/proc/$1/stat"; } 2>/dev/null
    [[ -n $line ]] || return 1
    read -r -a fields <<<"${line##*) }"
    state=${fields[0]} started=${fields[19]}
}

# How often the kernel killed for memory, into `kills`.
read_kills() {
    local text
    kills=0
    { read -r -d '' text </proc/vmstat; } 2>/dev/null
    [[ $text =~ oom_kill\ ([0-9]+) ]] && kills=${BASH_REMATCH[1]}
}

# ---- The runner: a process of its own, which nobody needs to attend ----

# What keeps the head of a stream and swallows the rest, so that the program never waits, nor dies of a closed pipe.
keep_head() {
    trap '' XFSZ PIPE
    ulimit -f $((($2 + 1023) / 1024))
    exec tee "$dir/$1" >/dev/null 2>&1
}

# In a cgroup of its own where that is allowed: the only bound on CPU, and the best measure.
enter_cgroup() {
    cgroup=/sys/fs/cgroup/e2b-worker-$BASHPID
    [[ $cpu_percent -gt 0 && -w /sys/fs/cgroup/cgroup.subtree_control ]] || return
    mkdir "$cgroup" 2>/dev/null || return
    { echo "$((cpu_percent * 1000)) 100000" >"$cgroup/cpu.max" && echo 0 >"$cgroup/cgroup.procs"; } 2>/dev/null
}

# The program itself, in place of this shell.
become_program() {
    { echo 500 >/proc/self/oom_score_adj; } 2>/dev/null
    enter_cgroup
    if [[ $locale == unset ]]; then unset LC_ALL; else LC_ALL=$locale; fi
    export E2B_WORKER_RECORD=$dir
    cd -- "${cwd:-$HOME}" || exit 126
    exec timeout -k 5 "$1" "${@:2}"
}

# The CPU time of all children so far, in ms, into `cpu_ms`.
read_cpu() {
    local own children
    cpu_ms=-1
    times >"$dir/times"
    { read -r own && read -r children; } <"$dir/times"
    [[ $children =~ ^([0-9]+)m([0-9]+)[.,]([0-9]{3})s\ ([0-9]+)m([0-9]+)[.,]([0-9]{3})s$ ]] || return
    local -a part=("${BASH_REMATCH[@]}")
    cpu_ms=$(((10#${part[1]} + 10#${part[4]}) * 60000 + (10#${part[2]} + 10#${part[5]}) * 1000 + 10#${part[3]} +
        10#${part[6]}))
}

# What the program says of itself, else what its cgroup says, into `peak_bytes`.
read_peak() {
    peak_bytes=-1
    [[ -d $cgroup ]] && { read -r peak_bytes <"$cgroup/memory.peak"; } 2>/dev/null
    [[ -d $cgroup ]] && rmdir "$cgroup" 2>/dev/null
    [[ -s $dir/usage ]] && read -r peak_bytes <"$dir/usage"
    [[ $peak_bytes =~ ^[0-9]{1,15}$ ]] || peak_bytes=-1
}

# "137" may be an exit code or a signal: with job control the shell says which.
judge() {
    local code=$1 notice=
    read -r -d '' notice <"$dir/notice"
    how=exit number=$code
    [[ $code -gt 128 && $notice != *"Exit $code"* ]] && how=signal number=$((code - 128))
    local passed_ms=$((${until//./} * 10 - ${from//./} * 10))
    [[ $passed_ms -ge $((limit_ms - 20)) && ($code -eq 124 || $number -eq 9) ]] && how=timeout number=0
}

run() {
    exec 3>&1 >"$dir/notice" 2>&1 </dev/null
    local before how number from until cgroup=
    set -m
    read_kills
    before=$kills
    # The end of fd 9 says that both outputs are closed.
    exec 8<> <(:)
    exec 9</dev/fd/8
    exec 5> >(keep_head out "$out_max" 3>&- 9<&-)
    exec 6> >(keep_head err "$err_max" 3>&- 5>&- 9<&-)
    exec 8>&-
    [[ -n $input ]] && mv "$input" "$dir/in"
    local source=/dev/null seconds
    [[ -n $input ]] && source=$dir/in
    printf -v seconds '%d.%03d' $((limit_ms / 1000)) $((limit_ms % 1000))
    read -r from _ </proc/uptime
    (become_program "$seconds" "$@") <"$source" >&5 2>&6 3>&- 5>&- 6>&- 9<&- &
    local group=$!
    read_process "$BASHPID"
    echo "$BASHPID $started $group $before end" >"$dir/pid"
    # A stop ends the wait, too. (`wait -f` would not end by it, but turns for ever in bash 5.2 when the program was over
    # before; job control has to stay, since its notice tells an exit code above 128 from a signal.)
    local code
    while wait "$group"; code=$?; [[ $code -gt 128 ]] && read_process "$group" && [[ $state == [Tt] ]]; do
        sleep 0.1
    done
    read -r until _ </proc/uptime
    cgroup=/sys/fs/cgroup/e2b-worker-$group
    exec 5>&- 6>&-
    read -r -t 0.2 -u 9 # a child in the background may hold them for ever
    read_kills
    judge "$code"
    read_cpu
    read_peak
    # Over the blanks that took the room beforehand: a full disk cannot hide how it ended.
    echo "$how $number $cpu_ms $peak_bytes $((kills > before)) end" 1<>"$dir/status"
}

start() {
    printf '%100s\n' '' >"$dir/status"
    : >"$dir/out" >"$dir/err"
    set -m # its own process group: whoever ends this shell does not end it
    coproc RUNNER { run "$@"; }
    set +m
    exec 3<&"${RUNNER[0]}"
}

# ---- Following ----

# What fd $1 has from here on, to fd $2. The shell's own read keeps no NUL byte: it ends at each, and is put back.
copy() {
    local piece count=0
    while IFS= read -r -d '' -n 1024 -u "$1" piece; do
        if [[ ${#piece} -eq 1024 || $((count++)) -gt 16 ]]; then
            printf '%s' "$piece" >&"$2"
            [[ ${#piece} -eq 1024 ]] || printf '\0' >&"$2"
            cat <&"$1" >&"$2"
            return
        fi
        printf '%s\0' "$piece" >&"$2"
    done
    [[ -z $piece ]] || printf '%s' "$piece" >&"$2"
}

# The largest memory that the program had, as far as one looks.
sample_peak() {
    local child text
    { read -r child _ <"/proc/$group/task/$group/children"; } 2>/dev/null
    { read -r -d '' text <"/proc/${child:-none}/status"; } 2>/dev/null
    [[ $text =~ VmHWM:[[:space:]]*([0-9]+) ]] || return
    [[ $((BASH_REMATCH[1] * 1024)) -gt $sampled ]] && sampled=$((BASH_REMATCH[1] * 1024))
}

is_runner_alive() {
    read_process "$runner" && [[ $state != [ZX] && $started == "$runner_started" ]]
}

has_begun() {
    if read_line pid; then
        runner=${words[0]} runner_started=${words[1]} group=${words[2]} kills_before=${words[3]}
        return 0
    fi
    read_line status
}

# Until there is a runner. Fails when there will be none.
wait_for_start() {
    local i
    for ((i = 0; i < 100; i++)); do
        has_begun && return 0
        read -r -t 0.05 -u 3
        [[ $? -gt 128 || $i -eq 0 ]] || break # the runner's end of the pipe is closed
    done
    has_begun # or it began and ended between the look and the end of the pipe
}

follow() {
    local turn=0 is_over=0
    while :; do
        if read_line status; then
            is_over=1
        elif ! is_runner_alive; then
            is_over=1
            read_line status # it ended between the two looks
        fi
        copy 5 1
        copy 6 2
        [[ $is_over -eq 1 ]] && return
        [[ $((turn++ % 8)) -eq 1 ]] && sample_peak
        read -r -t 0.05 -u 3 || [[ $? -gt 128 ]] || read -r -t 0.02 -u 4
    done
}

report() {
    local how=$1 number=$2 cpu_ms=${3:--1} peak_bytes=${4:--1} oom=${5:-0} results=0
    [[ -s $dir/results ]] && results=1
    [[ $peak_bytes -lt 0 && $sampled -gt 0 ]] && peak_bytes=$sampled
    echo "$mark $how $number $cpu_ms $peak_bytes $oom $results" >&2
    [[ $how == exit ]] && exit "$number"
    [[ $how == signal ]] && exit $((128 + number))
    [[ $how == timeout ]] && exit 124
    exit 125
}

step() {
    dir=$1 limit_ms=$2 out_from=$3 err_from=$4 out_max=$5 err_max=$6 mark=$7 cpu_percent=$8 cwd=$9 input=${10}
    shift 11
    sampled=-1 kills_before=0 runner=0 runner_started=0 group=0
    [[ $dir == /* ]] || dir=$HOME/$dir
    [[ -z $input || $input == /* ]] || input=$HOME/$input
    [[ -d ${dir%/*} ]] || mkdir -p "${dir%/*}"
    if mkdir "$dir" 2>/dev/null; then
        start "$@"
        read -r -t 0.04 -u 3 # most are over by then: no following
    else
        exec 3<> <(:) # never says anything: what one waits on
    fi
    wait_for_start || report unstarted 0
    exec 4<> <(:) 5<"$dir/out" 6<"$dir/err"
    [[ $out_from -eq 0 ]] || head -c "$out_from" <&5 >/dev/null
    [[ $err_from -eq 0 ]] || head -c "$err_from" <&6 >/dev/null
    follow
    if read_line status; then
        report "${words[@]}"
    fi
    read_kills
    report lost 0 -1 -1 $((kills > kills_before))
}

# ---- Stopping ----

stop() {
    dir=$1
    [[ $dir == /* ]] || dir=$HOME/$dir
    exec 3<> <(:)
    local group i
    for ((i = 0; i < 20; i++)); do # it may be starting just now
        read_line pid && break
        [[ -d $dir ]] || exit 0
        read -r -t 0.05 -u 3
    done
    group=${words[2]}
    [[ -n $group ]] || exit 0
    read_line status && exit 0
    kill -TERM -- "-$group" 2>/dev/null
    for ((i = 0; i < 40; i++)); do
        read_line status && exit 0
        read -r -t 0.05 -u 3
    done
    kill -KILL -- "-$group" 2>/dev/null
    exit 0
}

HOME=${HOME:-~}
locale=${LC_ALL-unset}
LC_ALL=C # bytes, not characters
"$0" "$@"
