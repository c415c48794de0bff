# Start-or-attach, run in the sandbox as: bash -c THIS step DIR LIMIT_MS OUT_FROM ERR_FROM OUT_KEEP ERR_KEEP MARK
#                                                          CPU_PERCENT CWD INPUT -- program args
#                                     or: bash -c THIS stop DIR WHY
# The first caller that makes DIR starts the program, all others attach. Everybody then prints what the program
# printed: of its output the first OUT_KEEP bytes as they come, and when it is over the last OUT_KEEP that were not
# among them; of its errors likewise; beginning OUT_FROM and ERR_FROM bytes into that. Last of all comes, on stderr,
# the report:
#     MARK how number cpu_ms peak_bytes oom results out_bytes err_bytes
# how: exit N | signal N | timeout 0 | lost 0 (its runner died: killed from outside) | unstarted 0 (begun, but there
# is no program). -1: not measured. oom 1: the kernel killed for memory meanwhile. results 1: DIR/results has some.
# out_bytes, err_bytes: what the program printed in all. What was stopped reports WHY, which is timeout or cancel, and 0,
# however it ended: whoever stopped it may not live to say so.
#
# DIR is the record. Its readers need no lock: what a file says stays true.
#   out         the beginning of the output, only ever appended to
#   out.N       the output from its byte N on (15 digits), where the file before ends. Of these the last three are there:
#               what is wanted of the end lies in two, and a further one may be begun while somebody reads. Each file,
#               `out` too, has at most 5 MiB, or OUT_KEEP and 4 MiB where that is more
#   out.count   how long the output was, once it is closed
#   err, err.N, err.count   the errors, likewise
#   pid         the runner, its start time, the program's process group, the kernel's count of memory kills before
#   status      `how` to `oom` of the report, out_bytes, err_bytes; once written, everything that is reported is there
#   stopped     WHY
#   frozen      there was an end, but somebody in the background still prints: of that, nothing is kept
#   in, notice, times   standard input; what the runner's shell says; CPU times
#   results, usage      the program's own, as E2B_WORKER_RECORD tells it
# pid, status, stopped and the counts are one line each, written at once, and hold only with the word "end" at their end.
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

can_make_cgroup() {
    [[ $cpu_percent -gt 0 && -w /sys/fs/cgroup/cgroup.subtree_control ]]
}

# How often the kernel killed for memory, into `kills`: in the control group that we and the program are in, or where
# there is no such count, on this machine, which is the sandbox's own in E2B.
read_kills() {
    local text file=none
    kills=0
    { read -r -d '' text </proc/self/cgroup; } 2>/dev/null
    [[ $text =~ 0::(/[^$'\n']+) ]] && file=/sys/fs/cgroup${BASH_REMATCH[1]}/memory.events
    [[ $text =~ :memory:(/[^$'\n']+) ]] && file=/sys/fs/cgroup/memory${BASH_REMATCH[1]}/memory.oom_control
    [[ -r $file ]] && ! can_make_cgroup || file=/proc/vmstat
    { read -r -d '' text <"$file"; } 2>/dev/null
    [[ $text =~ oom_kill\ ([0-9]+) ]] && kills=${BASH_REMATCH[1]}
}

# The files of the stream $1, in their order, into `files`.
list_files() {
    files=("$dir/$1" "$dir/$1".[0-9]*)
    [[ ${files[1]} != *']*' ]] || files=("$dir/$1") # there is no match
}

# At which byte of its stream the file $1 begins, into `begin`.
read_begin() {
    begin=0
    [[ $1 =~ \.([0-9]{15})$ ]] && begin=$((10#${BASH_REMATCH[1]}))
}

# How long the stream $1 is by now, into `total`.
read_total() {
    local files begin size
    if read_line "$1.count"; then
        total=${words[0]}
        return
    fi
    list_files "$1"
    read_begin "${files[-1]}"
    size=$(exec wc -c 2>/dev/null <"${files[-1]}")
    total=$((begin + ${size:-0}))
}

# ---- The runner: a process of its own, which nobody needs to attend ----

# Keeps what comes in as the stream $1, so that $2 bytes of it can be had from either end. Whatever happens here, the
# program neither waits for long nor dies of a closed pipe. Of coreutils only dd writes at once what it has read and
# ends after so much without having read more.
keep_stream() {
    local file=$dir/$1 begin=0 size=0 file_min=$(($2 > 1048576 ? $2 : 1048576)) later=() text
    while text=$(exec dd bs=8192 count=512 oflag=append conv=notrunc of="$file" 2>&1) &&
        [[ $text =~ ([0-9]+)\+([0-9]+)\ records\ in.*[^0-9]([0-9]+)\ bytes?\  ]]; do
        size=$((size + BASH_REMATCH[3]))
        if [[ $((BASH_REMATCH[1] + BASH_REMATCH[2])) -lt 512 ]]; then
            echo "$((begin + size)) end" 1<>"$dir/$1.count"
            return
        fi
        [[ -e $dir/frozen ]] && exec cat >/dev/null
        [[ $size -ge $file_min ]] || continue
        begin=$((begin + size)) size=0
        printf -v file '%s/%s.%015d' "$dir" "$1" "$begin"
        later+=("$file")
        if [[ ${#later[@]} -gt 3 ]]; then
            rm -f -- "${later[0]}"
            later=("${later[@]:1}")
        fi
    done
    # The disk is full, most likely. The rest is counted, all but the 8 KiB that dd had read last.
    size=$(exec wc -c <"$file")
    text=$(exec wc -c)
    echo "$((begin + ${size:-0} + ${text:-0})) end" 1<>"$dir/$1.count"
    exec cat >/dev/null
}

# In a cgroup of its own where that is allowed: the only bound on CPU, and the best measure.
enter_cgroup() {
    cgroup=/sys/fs/cgroup/e2b-worker-$BASHPID
    can_make_cgroup || return
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
    read_line stopped && how=${words[0]} number=0
}

# Until all that was printed is kept. A child in the background may hold the outputs for ever: then until nothing is
# left in their pipes, which 7 and 8 are the other ends of.
drain() {
    local i
    exec 7</dev/fd/5 8</dev/fd/6 5>&- 6>&-
    for ((i = 0; i < 20; i++)); do
        read -r -t 0.2 -u 9
        [[ $? -gt 128 ]] || return
        read -t 0 -u 7 || read -t 0 -u 8 || break
    done
    : >"$dir/frozen"
}

run() {
    # The end of fd 9 says that both outputs are closed. Its pipe is the one that every coprocess has for its input.
    exec 8<>/dev/fd/0 9</dev/fd/0 3>&1 1<>"$dir/notice" 2>&1 </dev/null
    local before how number from until total out_total cgroup=
    set -m
    read_kills
    before=$kills
    exec 5> >(keep_stream out "$out_keep" 3>&- 9<&-)
    exec 6> >(keep_stream err "$err_keep" 3>&- 5>&- 9<&-)
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
    drain
    read_kills
    judge "$code"
    read_cpu
    read_peak
    read_total out
    out_total=$total
    read_total err
    echo "$how $number $cpu_ms $peak_bytes $((kills > before)) $out_total $total end" 1<>"$dir/status"
}

start() {
    local name
    for name in status notice stopped out.count err.count; do
        printf '%140s\n' '' >"$dir/$name" # takes the room: a full disk cannot hide how it ended, nor how much it was
    done
    : >"$dir/out" >"$dir/err"
    set -m # its own process group: whoever ends this shell does not end it
    coproc RUNNER { run "$@"; }
    set +m
    exec 3<&"${RUNNER[0]}" {RUNNER[1]}>&-
}

# ---- Following ----

# What the file at fd $1 has from here on, up to its byte $3, to fd $2. The shell's own read keeps no NUL byte: it ends at
# each, and is put back.
copy() {
    local piece at left ask count=0
    { read -r _ at; } <"/proc/self/fdinfo/$1"
    left=$(($3 - at))
    while [[ $left -gt 0 && $((count++)) -lt 16 ]]; do
        ask=$((left < 1024 ? left : 1024))
        if ! IFS= read -r -d '' -n "$ask" -u "$1" piece; then
            [[ -z $piece ]] || printf '%s' "$piece" >&"$2"
            return
        fi
        left=$((left - ${#piece}))
        if [[ ${#piece} -eq $ask ]]; then
            printf '%s' "$piece" >&"$2"
            break
        fi
        printf '%s\0' "$piece" >&"$2"
        left=$((left - 1))
    done
    [[ $left -le 0 ]] || head -c "$left" <&"$1" >&"$2"
}

# The last $4 of the $3 bytes that the stream $1 has in all, but not its first $4, to fd $2; not those before the byte $5
# of what is printed. That they are the last is known at the end only.
copy_tail() {
    local files file begin end i at=$(($3 > 2 * $4 ? $3 - $4 : $4))
    at=$((at + ($5 > $4 ? $5 - $4 : 0)))
    [[ $at -lt $3 ]] || return
    list_files "$1"
    for ((i = 0; i < ${#files[@]}; i++)); do
        end=$3
        if [[ $((i + 1)) -lt ${#files[@]} ]]; then
            read_begin "${files[i + 1]}"
            end=$((begin < end ? begin : end))
        fi
        read_begin "${files[i]}"
        [[ $end -gt $at && $begin -le $at ]] || continue
        dd if="${files[i]}" bs=65536 skip=$((at - begin)) count=$((end - at)) \
            iflag=skip_bytes,count_bytes,fullblock >&"$2" 2>/dev/null
        at=$end
    done
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
    local turn=0
    while ! read_line status && is_runner_alive; do
        copy 5 1 "$out_keep"
        copy 6 2 "$err_keep"
        [[ $((turn++)) -gt 0 ]] || exec 4<> <(:)
        [[ $((turn % 8)) -eq 2 ]] && sample_peak
        read -r -t 0.05 -u 3 || [[ $? -gt 128 ]] || read -r -t 0.02 -u 4
    done
    local total
    if read_line status; then # it may have ended between the two looks
        out_total=${words[5]} err_total=${words[6]}
    else
        read_total out
        out_total=$total
        read_total err
        err_total=$total
    fi
    copy 5 1 $((out_total < out_keep ? out_total : out_keep))
    copy 6 2 $((err_total < err_keep ? err_total : err_keep))
    copy_tail out 1 "$out_total" "$out_keep" "$out_from"
    copy_tail err 2 "$err_total" "$err_keep" "$err_from"
}

report() {
    local how=$1 number=$2 cpu_ms=${3:--1} peak_bytes=${4:--1} oom=${5:-0} results=0
    [[ -s $dir/results ]] && results=1
    [[ $peak_bytes -lt 0 && $sampled -gt 0 ]] && peak_bytes=$sampled
    echo "$mark $how $number $cpu_ms $peak_bytes $oom $results $out_total $err_total" >&2
    [[ $how == exit ]] && exit "$number"
    [[ $how == signal ]] && exit $((128 + number))
    [[ $how == timeout ]] && exit 124
    exit 125
}

step() {
    dir=$1 limit_ms=$2 out_from=$3 err_from=$4 out_keep=$5 err_keep=$6 mark=$7 cpu_percent=$8 cwd=$9 input=${10}
    shift 11
    sampled=-1 kills_before=0 runner=0 runner_started=0 group=0 out_total=0 err_total=0
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
    exec 5<"$dir/out" 6<"$dir/err"
    [[ $out_from -eq 0 ]] || head -c $((out_from < out_keep ? out_from : out_keep)) <&5 >/dev/null
    [[ $err_from -eq 0 ]] || head -c $((err_from < err_keep ? err_from : err_keep)) <&6 >/dev/null
    follow
    if read_line status; then
        report "${words[@]}"
    fi
    read_line stopped && report "${words[0]}" 0
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
    read_line status && exit 0
    echo "$2 end" 1<>"$dir/stopped"
    [[ -n $group ]] || exit 0
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
