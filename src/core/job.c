/* The names of a job's values, and the texts that may become parts of keys and paths. */
#include "core/job.h"

#include <assert.h>
#include <string.h>

enum { NAME_LONGEST = 64, PATH_LONGEST = 1024 };

struct word {
    const char *name;
    int value;
};

/* The first word of a value is its name, further ones are understood as well. */
static const struct word kinds[] = {{"code", JOB_CODE}, {"commands", JOB_COMMANDS}, {"agent", JOB_AGENT}};
static const struct word priorities[] = {
    {"interactive", PRIORITY_INTERACTIVE}, {"standard", PRIORITY_STANDARD}, {"batch", PRIORITY_BATCH}};
static const struct word languages[] = {{"python", LANGUAGE_PYTHON},
                                        {"py", LANGUAGE_PYTHON},
                                        {"javascript", LANGUAGE_JAVASCRIPT},
                                        {"js", LANGUAGE_JAVASCRIPT},
                                        {"typescript", LANGUAGE_TYPESCRIPT},
                                        {"ts", LANGUAGE_TYPESCRIPT},
                                        {"bash", LANGUAGE_BASH},
                                        {"sh", LANGUAGE_BASH},
                                        {"r", LANGUAGE_R},
                                        {"java", LANGUAGE_JAVA}};
static const struct word run_modes[] = {
    {"default", RUN_MODE_DEFAULT}, {"interpreter", RUN_MODE_INTERPRETER}, {"process", RUN_MODE_PROCESS}};

static const char *name_of(const struct word *words, size_t count, int value)
{
    for (size_t i = 0; i < count; i++)
        if (words[i].value == value)
            return words[i].name;
    assert(!"a value without a name");
    return "";
}

static const struct word *word_of(const struct word *words, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i].name, name) == 0)
            return &words[i];
    return NULL;
}

int64_t job_waits_since_unix_ms(const struct job *job)
{
    return MAX(job->from.timestamp_unix_ms, job->not_before_unix_ms);
}

const char *job_kind_name(enum job_kind kind)
{
    return name_of(kinds, ARRAY_LENGTH(kinds), (int)kind);
}

const char *priority_name(enum priority priority)
{
    return name_of(priorities, ARRAY_LENGTH(priorities), (int)priority);
}

const char *language_name(enum language language)
{
    return name_of(languages, ARRAY_LENGTH(languages), (int)language);
}

const char *run_mode_name(enum run_mode mode)
{
    return name_of(run_modes, ARRAY_LENGTH(run_modes), (int)mode);
}

bool job_kind_parse(const char *name, enum job_kind *ret)
{
    const struct word *word = word_of(kinds, ARRAY_LENGTH(kinds), name);
    if (word)
        *ret = (enum job_kind)word->value;
    return word != NULL;
}

bool priority_parse(const char *name, enum priority *ret)
{
    const struct word *word = word_of(priorities, ARRAY_LENGTH(priorities), name);
    if (word)
        *ret = (enum priority)word->value;
    return word != NULL;
}

bool language_parse(const char *name, enum language *ret)
{
    const struct word *word = word_of(languages, ARRAY_LENGTH(languages), name);
    if (word)
        *ret = (enum language)word->value;
    return word != NULL;
}

bool run_mode_parse(const char *name, enum run_mode *ret)
{
    const struct word *word = word_of(run_modes, ARRAY_LENGTH(run_modes), name);
    if (!word || word->value == RUN_MODE_DEFAULT)
        return false;
    *ret = (enum run_mode)word->value;
    return true;
}

bool job_is_name(const char *text)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    size_t length = strspn(text, alphabet);
    return length > 0 && length <= NAME_LONGEST && text[length] == '\0';
}

static bool has_control_character(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            return true;
    return false;
}

static bool is_segment(const char *segment, size_t length, const char *what)
{
    return length == strlen(what) && memcmp(segment, what, length) == 0;
}

bool job_path_normalise(const char *path, struct arena *arena, const char **ret)
{
    size_t length = strlen(path);
    if (length == 0 || length > PATH_LONGEST || path[length - 1] == '/' || has_control_character(path))
        return false;
    char clean[PATH_LONGEST + 1];
    size_t used = 0, last = 0; /* last: length of the last segment kept */
    if (path[0] == '/')
        clean[used++] = '/';
    for (const char *segment = path; *segment;) {
        segment += strspn(segment, "/");
        last = strcspn(segment, "/");
        if (is_segment(segment, last, ".."))
            return false;
        bool is_here = is_segment(segment, last, ".");
        if (is_here && segment[last] == '\0')
            return false; /* names a directory, as a trailing slash does */
        if (!is_here) {
            if (used > 0 && clean[used - 1] != '/')
                clean[used++] = '/';
            memcpy(clean + used, segment, last);
            used += last;
        }
        segment += last;
    }
    *ret = arena_strndup(arena, clean, used);
    return true;
}
