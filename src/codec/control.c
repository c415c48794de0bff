/* Records of the control topic. */
#include "codec/control.h"

#include "codec/reader.h"
#include "codec/writer.h"

#include <assert.h>
#include <string.h>

static const char *const actions[] = {"cancel"}; /* by enum control_action */

static bool read_action(struct reader *reader, json_t *value, void *target)
{
    size_t index;
    if (!reader_choice(reader, value, actions, ARRAY_LENGTH(actions), CODE_INVALID_JOB, &index))
        return false;
    ((struct control *)target)->action = (enum control_action)index;
    return true;
}

static bool read_members(struct reader *reader, json_t *root, struct control *control)
{
    static const struct field fields[] = {
        {.name = "action", .read = read_action},
        {.name = "job_id", .type = FIELD_NAME, .offset = offsetof(struct control, job_id)},
        {.name = "tenant_id", .type = FIELD_NAME, .offset = offsetof(struct control, tenant_id)},
    };
    if (!reader_object(reader, root, fields, ARRAY_LENGTH(fields), control))
        return false;
    const json_t *action = json_object_get(root, "action");
    if (!action || json_is_null(action))
        return reader_fail(reader, CODE_INVALID_JOB, "lacks \"action\", which is \"cancel\"");
    return control->job_id ? true : reader_fail(reader, CODE_INVALID_JOB, "lacks \"job_id\"");
}

bool control_decode(const struct header *headers, size_t count, struct bytes value, struct arena *arena,
                    struct control *ret, struct error *reterr)
{
    struct reader reader = {.arena = arena, .root = "the control record"};
    struct control control = {.tenant_id = "default"};
    struct envelope envelope;
    json_error_t why;
    if (value.length > CONTROL_BYTES_MAX)
        return error_set(reterr, ERROR_REJECTED, "control", 0,
                         "the control record is %zu bytes long; at most %d are allowed", value.length,
                         CONTROL_BYTES_MAX);
    if (!envelope_read(headers, count, value, arena, &envelope, reterr))
        return false;
    const char *text = envelope.data.length > 0 ? envelope.data.data : "";
    json_auto_t *root = json_loadb(text, envelope.data.length,
                                   JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
    if (!root)
        return error_set(reterr, ERROR_REJECTED, "control", 0, "the control record is not JSON: %.160s",
                         why.text);
    if (!read_members(&reader, root, &control))
        return error_set(reterr, ERROR_REJECTED, "control", 0, "%s", reader.message);
    *ret = control;
    return true;
}

void control_encode(const struct control *control, struct buffer *out)
{
    struct writer writer = {.out = out};
    assert(control->action < ARRAY_LENGTH(actions));
    writer_begin_object(&writer);
    writer_field_text(&writer, "action", actions[control->action]);
    writer_field_text(&writer, "job_id", control->job_id);
    writer_field_text(&writer, "tenant_id", control->tenant_id ? control->tenant_id : "default");
    writer_end_object(&writer);
}
