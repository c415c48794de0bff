/* The planner of kind code: [files] run [artifacts]. */
#include "core/plan.h"

#include <string.h>

enum { FILES_MS = 60000, ARTIFACTS_MS = 60000, FINAL_MS = 60000, STEPS_MAX = 3 };

/* How a language runs as a process: the words before the source file, and the file's name. */
struct launcher {
    const char *words[3];
    size_t word_count; /* 0: cannot be relied on as a process */
    const char *source;
};

static const struct launcher launchers[LANGUAGE_COUNT] = {
    [LANGUAGE_PYTHON] = {{"python3", "-u", PLAN_DRIVER}, 3, PLAN_STATE_DIR "/code/main.py"},
    [LANGUAGE_JAVASCRIPT] = {{"node"}, 1, PLAN_STATE_DIR "/code/main.js"},
    [LANGUAGE_TYPESCRIPT] = {{NULL}, 0, PLAN_STATE_DIR "/code/main.ts"}, /* no compiler is sure to be there */
    [LANGUAGE_BASH] = {{"bash"}, 1, PLAN_STATE_DIR "/code/main.sh"},
    [LANGUAGE_R] = {{"Rscript"}, 1, PLAN_STATE_DIR "/code/main.R"},
    [LANGUAGE_JAVA] = {{"java"}, 1, PLAN_STATE_DIR "/code/main.java"},
};
static const char module_source[] = PLAN_STATE_DIR "/code/main.mjs";

/* ---- JavaScript: node tells modules from scripts by the file's name ---- */

/* Whether a statement begins here with this word: "import x", "import{", "import\"x\"", not "import(" nor
 * "important". */
static bool is_statement(const char *line, const char *word)
{
    size_t length = strlen(word);
    return strncmp(line, word, length) == 0 && line[length] != '\0' && strchr(" \t{*\"'", line[length]);
}

static bool is_module(const char *code)
{
    if (strstr(code, "require("))
        return false;
    for (const char *line = code; line; line = strchr(line, '\n')) {
        line += strspn(line, " \t\r\n");
        if (is_statement(line, "import") || is_statement(line, "export"))
            return true;
    }
    return false;
}

/* ---- Steps ---- */

/* `source`: where the code goes; NULL: into no file. */
static struct step files_step(const struct job *job, const char *source, struct arena *arena)
{
    struct put_files *put = ARENA_NEW(arena, struct put_files);
    struct input_file *items = ARENA_ARRAY(arena, struct input_file, job->file_count + 1);
    if (job->file_count > 0)
        memcpy(items, job->files, job->file_count * sizeof *items);
    *put = (struct put_files){.items = items, .count = job->file_count};
    if (source)
        items[put->count++] =
            (struct input_file){.path = source, .content = {.data = job->code, .length = job->code_length}};
    return (struct step){
        .name = "files",
        .timeout_ms = FILES_MS,
        .on_failure = CODE_STREAM_BROKEN,
        .on_timeout = CODE_SANDBOX_UNRESPONSIVE, /* nothing of the job's own takes time here */
        .verb = STEP_PUT_FILES,
        .as.put = put,
    };
}

static int64_t run_timeout_ms(const struct job *job, const struct template_entry *entry)
{
    return job->timeout_ms > 0 ? MIN(job->timeout_ms, entry->timeout_ms) : entry->timeout_ms;
}

/* The interpreter's bash is one shell that lives on: `exit 3` would end it and with it the answer. In a
 * subshell it ends the job with that code. */
static const char *interpreter_text(const struct job *job, struct arena *arena)
{
    return job->language == LANGUAGE_BASH ? arena_printf(arena, "(\n%s\n)", job->code) : job->code;
}

static struct step interpreter_step(const struct job *job, const struct plan *plan, struct arena *arena)
{
    struct code_spec *code = ARENA_NEW(arena, struct code_spec);
    *code =
        (struct code_spec){.text = interpreter_text(job, arena), .language = language_name(job->language)};
    return (struct step){
        .name = "run",
        .timeout_ms = run_timeout_ms(job, plan->placement.entry),
        .on_failure = CODE_RUNTIME_ERROR,
        .on_timeout = CODE_RUN_TIMEOUT,
        .verb = STEP_RUN_CODE,
        .as.code = code,
    };
}

static struct text_list arguments(const struct job *job, const char *source, struct arena *arena)
{
    const struct launcher *launcher = &launchers[job->language];
    size_t count = 0;
    const char **items = ARENA_ARRAY(arena, const char *, launcher->word_count + 1 + job->args.count);
    for (size_t i = 0; i < launcher->word_count; i++)
        items[count++] = launcher->words[i];
    items[count++] = source;
    for (size_t i = 0; i < job->args.count; i++)
        items[count++] = job->args.items[i];
    return (struct text_list){.items = items, .count = count};
}

static struct step process_step(const struct job *job, const struct plan *plan, const char *source,
                                struct arena *arena)
{
    struct process_spec *process = ARENA_NEW(arena, struct process_spec);
    *process = (struct process_spec){
        .argv = arguments(job, source, arena),
        .input = job->has_input ? job->input : NULL,
        .input_length = job->has_input ? job->input_length : 0,
        .env = job->env,
        .cpu_percent = plan->placement.entry->cpu_percent,
        .has_rich_results = job->language == LANGUAGE_PYTHON,
    };
    return (struct step){
        .name = "run",
        .timeout_ms = run_timeout_ms(job, plan->placement.entry),
        .on_failure = CODE_NONZERO_EXIT,
        .on_timeout = CODE_RUN_TIMEOUT,
        .verb = STEP_RUN_PROCESS,
        .as.process = process,
    };
}

static struct step artifacts_step(const struct job *job, const struct plan *plan, struct arena *arena)
{
    struct get_files *get = ARENA_NEW(arena, struct get_files);
    *get = (struct get_files){
        .globs = &job->artifacts,
        .max_bytes = plan->outputs.artifact_bytes,
        .max_count = plan->outputs.artifact_count,
    };
    return (struct step){
        .name = "artifacts",
        .timeout_ms = ARTIFACTS_MS,
        .on_failure = CODE_ARTIFACT_FAILED,
        .on_timeout = CODE_ARTIFACT_FAILED,
        .verb = STEP_GET_FILES,
        .as.get = get,
    };
}

/* ---- The whole ---- */

static bool is_ours(const char *path)
{
    static const char home[] = "/home/user/";
    if (strncmp(path, home, sizeof home - 1) == 0)
        path += sizeof home - 1;
    size_t length = strlen(PLAN_STATE_DIR);
    return strncmp(path, PLAN_STATE_DIR, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static enum code check(const struct job *job, enum run_mode mode, struct arena *arena,
                       const char **ret_message)
{
    if (mode == RUN_MODE_PROCESS && launchers[job->language].word_count == 0) {
        *ret_message =
            arena_printf(arena,
                         "%s runs by the interpreter only: say run_mode interpreter, and use neither "
                         "args nor stdin",
                         language_name(job->language));
        return CODE_UNSUPPORTED_LANGUAGE;
    }
    for (size_t i = 0; i < job->file_count; i++) {
        if (is_ours(job->files[i].path)) {
            *ret_message =
                arena_printf(arena, "/files/%zu/path: \"%s\" lies in %s, which is the worker's own", i,
                             job->files[i].path, PLAN_STATE_DIR);
            return CODE_FILE_PATH_INVALID;
        }
    }
    return CODE_NONE;
}

static enum run_mode merged_mode(const struct job *job, const struct template_entry *entry)
{
    enum run_mode mode = job->run_mode != RUN_MODE_DEFAULT ? job->run_mode : entry->run_mode;
    return mode != RUN_MODE_DEFAULT ? mode : RUN_MODE_INTERPRETER;
}

static const char *source_of(const struct job *job)
{
    if (job->language == LANGUAGE_JAVASCRIPT && is_module(job->code))
        return module_source;
    return launchers[job->language].source;
}

enum code plan_code(const struct job *job, struct arena *arena, struct plan *plan, const char **ret_message)
{
    enum run_mode mode = merged_mode(job, plan->placement.entry);
    enum code code = check(job, mode, arena, ret_message);
    if (code != CODE_NONE)
        return code;
    const char *source = mode == RUN_MODE_PROCESS ? source_of(job) : NULL;
    struct step *steps = ARENA_ARRAY(arena, struct step, STEPS_MAX);
    size_t count = 0;
    if (source || job->file_count > 0)
        steps[count++] = files_step(job, source, arena);
    steps[count++] = source ? process_step(job, plan, source, arena) : interpreter_step(job, plan, arena);
    plan->final_from = count;
    if (job->artifacts.count > 0)
        steps[count++] = artifacts_step(job, plan, arena);
    plan->run_mode = mode;
    plan->steps = steps;
    plan->step_count = count;
    plan->main_ms = 0;
    for (size_t i = 0; i < plan->final_from; i++)
        plan->main_ms += steps[i].timeout_ms;
    plan->final_ms = FINAL_MS;
    if (!source) /* a process brings its environment itself: it may be started in an adopted sandbox */
        plan->sandbox_env = job->env;
    return CODE_NONE;
}
