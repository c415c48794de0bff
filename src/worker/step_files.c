/* put_files and get_files: bytes into the sandbox before the run, bytes out of it afterwards. */
#include "base/digest.h"
#include "core/outcome.h"
#include "worker/context.h"
#include "worker/step.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- put ---- */

/* All files go in one request; what must be executable is made so by one chmod afterwards. */
static void on_modes_set(struct e2b_call *call, const struct e2b_error *error, const struct e2b_exit *result)
{
    struct step_run *step = call->arg;
    if (error) {
        step_broken(step, error);
        return;
    }
    if (result->code != 0)
        outcome_warn(step_outcome(step), "the modes of the input files could not be set: chmod ended with %d",
                     result->code);
    step_ended(step, CODE_NONE);
}

static void ignore_output(struct e2b_call *call, const struct e2b_output *output)
{
    (void)call, (void)output;
}

/* "chmod -- 0755 a b" for the first mode that is asked for; files of other modes follow as further words of
 * one shell. */
static char *chmod_script(const struct put_files *put)
{
    struct buffer script = {0};
    for (size_t i = 0; i < put->count; i++)
        if (put->items[i].mode != 0)
            buffer_append_format(&script, "chmod %04o -- \"${%zu}\"\n", put->items[i].mode & 0777, i + 1);
    return script.length > 0 ? buffer_take(&script) : NULL;
}

static void set_modes(struct step_run *step)
{
    const struct put_files *put = step->step->as.put;
    CLEANUP(base_freep) char *script = chmod_script(put);
    if (!script) {
        step_ended(step, CODE_NONE);
        return;
    }
    /* File names are arguments, never part of the script. */
    const char **argv = base_alloc(sizeof *argv * (put->count + 5));
    size_t n = 0;
    argv[n++] = "/bin/bash";
    argv[n++] = "-c";
    argv[n++] = script;
    argv[n++] = "modes";
    for (size_t i = 0; i < put->count; i++)
        argv[n++] = put->items[i].path;
    step_call(step)->timeout_ms = step_remaining_ms(step);
    e2b_process_start(step_sandbox(step), step_call(step), &(struct e2b_process_options){.argv = argv},
                      ignore_output, on_modes_set);
    free(argv);
}

static void on_written(struct e2b_call *call, const struct e2b_error *error)
{
    struct step_run *step = call->arg;
    if (error && error->kind == E2B_ERROR_DISK_FULL) {
        outcome_blame(step_outcome(step), CODE_DISK_FULL, step->step->name, "the input files do not fit: %s",
                      error->message);
        step_ended(step, CODE_DISK_FULL);
    } else if (error && error->kind == E2B_ERROR_INVALID) {
        outcome_blame(step_outcome(step), CODE_FILE_PATH_INVALID, step->step->name, "%s", error->message);
        step_ended(step, CODE_FILE_PATH_INVALID);
    } else if (error) {
        step_broken(step, error);
    } else {
        set_modes(step);
    }
}

static void start_put(struct step_run *step)
{
    const struct put_files *put = step->step->as.put;
    struct e2b_file *files = base_alloc(sizeof *files * put->count);
    for (size_t i = 0; i < put->count; i++)
        files[i] =
            (struct e2b_file){put->items[i].path, {put->items[i].content.data, put->items[i].content.length}};
    step_call(step)->timeout_ms = step_remaining_ms(step);
    e2b_files_write(step_sandbox(step), step_call(step), files, put->count, on_written);
    free(files);
}

/* ---- get ---- */

enum { LIST_DEPTH_MAX = 8, CANDIDATES_MAX = 1000 };

struct candidate {
    char *path; /* as E2B lists it: absolute */
    const char
        *shown; /* as the job asked for it: a relative pattern brings relative paths. Points into path */
    int64_t bytes;
};

struct get_state {
    size_t glob; /* being listed */
    struct candidate *candidates;
    size_t count, next; /* next: to be read */
    struct buffer content;
    bool is_over_limit; /* the file under way is larger than what is left */
    struct step_run *step;
    struct task stopped;
};

static void list_next(struct step_run *step);
static void read_next(struct step_run *step);

/* "out/2024/x*.png" -> "out/2024": where the listing begins; "" for the home directory. */
static char *fixed_part(const char *glob)
{
    size_t wild = strcspn(glob, "*?[");
    while (wild > 0 && glob[wild - 1] != '/')
        wild--;
    if (glob[strcspn(glob, "*?[")] == '\0') { /* no wildcard: the directory that holds it */
        const char *slash = strrchr(glob, '/');
        wild = slash ? (size_t)(slash - glob) + 1 : 0;
    }
    while (wild > 1 && glob[wild - 1] == '/')
        wild--;
    return base_strndup(glob, wild);
}

static unsigned depth_of(const char *glob, const char *fixed)
{
    if (strstr(glob, "**"))
        return LIST_DEPTH_MAX;
    unsigned depth = 1;
    for (const char *p = glob + strlen(fixed) + (fixed[0] && glob[strlen(fixed)] == '/' ? 1 : 0); *p; p++)
        depth += *p == '/';
    return MIN(depth, LIST_DEPTH_MAX);
}

static const char *from_home(const char *path)
{
    static const char home[] = "/home/user/";
    return strncmp(path, home, sizeof home - 1) == 0 ? path + sizeof home - 1 : path;
}

/* Whether the listed path is what the glob means: an absolute one as it is, a relative one from the home
 * directory. */
static bool matches(const char *glob, const char *path)
{
    int flags = strstr(glob, "**") ? FNM_PERIOD : FNM_PATHNAME | FNM_PERIOD;
    if (glob[0] == '/')
        return fnmatch(glob, path, flags) == 0;
    return fnmatch(glob, from_home(path), flags) == 0;
}

static bool is_known(const struct get_state *state, const char *path)
{
    for (size_t i = 0; i < state->count; i++)
        if (strcmp(state->candidates[i].path, path) == 0)
            return true;
    return false;
}

static void add_candidate(struct get_state *state, const char *glob, const struct e2b_file_info *info)
{
    if (state->count == CANDIDATES_MAX || is_known(state, info->path))
        return;
    state->candidates = base_realloc(state->candidates, sizeof *state->candidates * (state->count + 1));
    char *path = base_strdup(info->path);
    state->candidates[state->count++] = (struct candidate){
        .path = path, .shown = glob[0] == '/' ? path : from_home(path), .bytes = info->bytes};
}

static void on_listed(struct e2b_call *call, const struct e2b_error *error, const struct e2b_file_page *page)
{
    struct step_run *step = call->arg;
    struct get_state *state = step->state;
    const char *glob = step->step->as.get->globs->items[state->glob];
    if (error && error->kind != E2B_ERROR_NOT_FOUND && error->kind != E2B_ERROR_INVALID) {
        step_broken(step, error);
        return;
    }
    size_t before = state->count;
    for (size_t i = 0; !error && i < page->count; i++)
        if (page->items[i].kind == E2B_FILE_REGULAR && matches(glob, page->items[i].path))
            add_candidate(state, glob, &page->items[i]);
    if (state->count == before)
        outcome_warn(step_outcome(step), "no file matches the artifact pattern '%s'", glob);
    state->glob++;
    list_next(step);
}

static void list_next(struct step_run *step)
{
    struct get_state *state = step->state;
    const struct text_list *globs = step->step->as.get->globs;
    if (state->glob == globs->count) {
        read_next(step);
        return;
    }
    const char *glob = globs->items[state->glob];
    CLEANUP(base_freep) char *fixed = fixed_part(glob);
    step_call(step)->timeout_ms = step_remaining_ms(step);
    e2b_file_list(step_sandbox(step), step_call(step), fixed[0] ? fixed : ".", depth_of(glob, fixed),
                  on_listed);
}

static int64_t room_left(const struct step_run *step)
{
    return step->step->as.get->max_bytes - step_outcome(step)->artifact_bytes;
}

static void keep(struct step_run *step, const struct candidate *candidate)
{
    struct get_state *state = step->state;
    const struct get_files *get = step->step->as.get;
    struct outcome *outcome = step_outcome(step);
    if (!outcome_add_artifact(outcome, candidate->shown, &state->content, get->max_bytes, get->max_count))
        outcome_warn(
            outcome,
            "artifact '%s' was left out: %lld bytes would exceed limits.artifact_bytes or artifact_count",
            candidate->shown, (long long)candidate->bytes);
    buffer_release(&state->content);
}

static void on_bytes(struct e2b_call *call, struct e2b_bytes bytes)
{
    struct step_run *step = call->arg;
    struct get_state *state = step->state;
    if ((int64_t)(state->content.length + bytes.length) > room_left(step))
        state->is_over_limit = true; /* it grew since it was listed */
    if (!state->is_over_limit)
        buffer_append(&state->content, bytes.data, bytes.length);
}

static void on_read(struct e2b_call *call, const struct e2b_error *error)
{
    struct step_run *step = call->arg;
    struct get_state *state = step->state;
    const struct candidate *candidate = &state->candidates[state->next++];
    if (error && error->kind != E2B_ERROR_NOT_FOUND && error->kind != E2B_ERROR_INVALID) {
        state->next--;
        buffer_release(&state->content);
        step_broken(step, error);
        return;
    }
    if (error || state->is_over_limit)
        outcome_warn(step_outcome(step), "artifact '%s' could not be kept: %s", candidate->shown,
                     error ? error->message : "it is larger than what limits.artifact_bytes leaves");
    else
        keep(step, candidate);
    read_next(step);
}

/* By an earlier try of this step, whose transfer broke off later. */
static bool is_kept(const struct outcome *outcome, const char *path)
{
    for (size_t i = 0; i < outcome->artifact_count; i++)
        if (strcmp(outcome->artifacts[i].path, path) == 0)
            return true;
    return false;
}

static void read_next(struct step_run *step)
{
    struct get_state *state = step->state;
    struct outcome *outcome = step_outcome(step);
    for (; state->next < state->count; state->next++) {
        const struct candidate *candidate = &state->candidates[state->next];
        if (is_kept(outcome, candidate->shown))
            continue;
        if (candidate->bytes <= room_left(step) &&
            (int64_t)outcome->artifact_count < step->step->as.get->max_count) {
            buffer_clear(&state->content);
            state->is_over_limit = false;
            step_call(step)->timeout_ms = step_remaining_ms(step);
            e2b_file_read(step_sandbox(step), step_call(step), candidate->path, on_bytes, on_read);
            return;
        }
        outcome->artifacts_dropped++;
        outcome_warn(
            outcome,
            "artifact '%s' was left out: %lld bytes would exceed limits.artifact_bytes or artifact_count",
            candidate->shown, (long long)candidate->bytes);
    }
    step_ended(step, CODE_NONE);
}

static void start_get(struct step_run *step)
{
    struct get_state *state = base_alloc(sizeof *state);
    state->step = step;
    step->state = state;
    list_next(step);
}

/* ---- both ---- */

static void on_stopped(void *arg)
{
    step_ended(arg, CODE_NONE);
}

static void stop_put(struct step_run *step)
{
    struct task *task = base_alloc(sizeof *task);
    e2b_call_cancel(step_call(step));
    step->state = task;
    loop_defer(step_worker(step)->loop, task, on_stopped, step);
}

static void drop_put(struct step_run *step)
{
    if (step->state)
        loop_defer_cancel(step_worker(step)->loop, step->state);
    free(step->state);
}

static void stop_get(struct step_run *step)
{
    struct get_state *state = step->state;
    e2b_call_cancel(step_call(step));
    loop_defer(step_worker(step)->loop, &state->stopped, on_stopped, step);
}

static void drop_get(struct step_run *step)
{
    struct get_state *state = step->state;
    if (!state)
        return;
    loop_defer_cancel(step_worker(step)->loop, &state->stopped);
    for (size_t i = 0; i < state->count; i++)
        free(state->candidates[i].path);
    free(state->candidates);
    buffer_release(&state->content);
    free(state);
}

const struct step_kind step_put_files = {.start = start_put, .stop = stop_put, .drop = drop_put};
const struct step_kind step_get_files = {.start = start_get, .stop = stop_get, .drop = drop_get};
