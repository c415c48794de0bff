/* Files of jobs into single jobs. */
#include "codec/draft.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *name, struct arena *arena)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? arena_strdup(arena, json_string_value(value)) : NULL;
}

/* The object that holds the job's fields. */
static json_t *job_of(json_t *object, bool *ret_is_structured)
{
    json_t *data = json_object_get(object, "data");
    *ret_is_structured = json_object_get(object, "specversion") != NULL && json_is_object(data);
    return *ret_is_structured ? data : object;
}

static struct draft describe(json_t *object, struct bytes value, struct arena *arena)
{
    struct draft draft = {.value = value};
    json_t *job = job_of(object, &draft.is_structured);
    draft.job_id = text_of(job, "job_id", arena);
    if (!draft.job_id && draft.is_structured)
        draft.job_id = text_of(object, "id", arena); /* the worker takes it so, too */
    draft.has_id = draft.job_id || json_object_get(job, "job_id");
    draft.tenant_id = text_of(job, "tenant_id", arena);
    draft.task_type = text_of(job, "task_type", arena);
    return draft;
}

static struct bytes dump(const json_t *object, struct arena *arena)
{
    char *text = json_dumps(object, JSON_COMPACT);
    struct bytes value = {0};
    if (text)
        value = (struct bytes){arena_strdup(arena, text), strlen(text)};
    free(text);
    return value;
}

struct drafts {
    struct draft *items; /* malloc'ed while they grow */
    size_t count, capacity;
};

static void add(struct drafts *drafts, struct draft draft)
{
    if (drafts->count == drafts->capacity) {
        drafts->capacity = MAX(drafts->capacity * 2, 16);
        drafts->items = base_realloc(drafts->items, drafts->capacity * sizeof *drafts->items);
    }
    drafts->items[drafts->count++] = draft;
}

static bool add_array(struct drafts *drafts, json_t *array, struct arena *arena, struct error *reterr)
{
    size_t index;
    json_t *element;
    json_array_foreach(array, index, element)
    {
        if (!json_is_object(element))
            return error_set(reterr, ERROR_REJECTED, "job", 0, "element %zu of the array is no JSON object",
                             index);
        add(drafts, describe(element, dump(element, arena), arena));
    }
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Lines up to the place, counted from 1. */
static size_t line_at(const char *text, size_t length)
{
    size_t line = 1;
    for (size_t i = 0; i < length; i++)
        line += text[i] == '\n' ? 1 : 0;
    return line;
}

/* The next value of the text, from *place on, which moves behind it. */
static bool read_one(struct bytes text, size_t *place, struct drafts *drafts, struct arena *arena,
                     struct error *reterr)
{
    const char *start = (const char *)text.data + *place;
    json_error_t where;
    json_t *value = json_loadb(start, text.length - *place, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &where);
    if (!value)
        return error_set(reterr, ERROR_REJECTED, "job", 0, "line %zu, column %d: no job: %s",
                         line_at(text.data, *place) + (size_t)MAX(where.line - 1, 0), where.column,
                         where.text);
    size_t length = (size_t)where.position;
    bool is_good = true;
    if (json_is_array(value))
        is_good = add_array(drafts, value, arena, reterr);
    else /* jansson takes nothing but arrays and objects */
        add(drafts, describe(value, (struct bytes){start, length}, arena));
    json_decref(value);
    *place += length;
    return is_good;
}

bool drafts_read(struct bytes text, struct arena *arena, struct draft **ret, size_t *ret_count,
                 struct error *reterr)
{
    struct drafts drafts = {0};
    const char *data = text.data;
    size_t place = 0;
    bool is_good = true;
    if (text.length >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        place = 3; /* a byte-order mark */
    for (;;) {
        while (place < text.length && is_space(data[place]))
            place++;
        if (place >= text.length || !(is_good = read_one(text, &place, &drafts, arena, reterr)))
            break;
    }
    if (is_good && drafts.count == 0)
        is_good = error_set(reterr, ERROR_REJECTED, "job", 0, "there is no job in it");
    if (is_good) {
        *ret = arena_copy(arena, drafts.items, drafts.count * sizeof *drafts.items);
        *ret_count = drafts.count;
    }
    free(drafts.items);
    return is_good;
}

struct draft draft_with_id(const struct draft *draft, const char *job_id, struct arena *arena)
{
    struct draft named = *draft;
    bool is_structured;
    json_t *object = json_loadb(draft->value.data, draft->value.length, JSON_ALLOW_NUL, NULL);
    named.job_id = arena_strdup(arena, job_id);
    if (json_is_object(object)) {
        (void)json_object_set_new(job_of(object, &is_structured), "job_id", json_string(job_id));
        named.value = dump(object, arena);
    }
    json_decref(object);
    return named;
}
