/* A result on a terminal. */
#include "submit_result.h"

#include "command.h"
#include "show.h"

#include <stdio.h>
#include <string.h>

/* Exit codes from here on belong to shells, signals and sysexits.h. */
enum { OWN_EXIT_CODE_MAX = 63 };

static void put(FILE *file, struct bytes text)
{
    if (text.length == 0)
        return;
    (void)fwrite(text.data, 1, text.length, file);
    if (((const char *)text.data)[text.length - 1] != '\n')
        (void)fputc('\n', file);
    (void)fflush(file);
}

static void put_text(FILE *file, const char *text)
{
    if (text)
        put(file, (struct bytes){text, strlen(text)});
}

static void tell_truncated(const char *name, const struct text_view *text)
{
    if (text->is_truncated)
        fprintf(stderr, "%s was cut: it had %lld bytes\n", name, (long long)text->bytes_total);
}

void submit_show_result(const struct event_view *view, bool is_json)
{
    CLEANUP(buffer_release) struct buffer line = {0};
    if (is_json) {
        put(stdout, view->data);
        return;
    }
    put(stdout, view->out.text);
    put(stdout, view->main_result);
    put(stderr, view->err.text);
    put_text(stderr, view->traceback);
    tell_truncated("standard output", &view->out);
    tell_truncated("standard error", &view->err);
    for (size_t i = 0; i < view->warnings.count; i++)
        fprintf(stderr, "warning: %s\n", view->warnings.items[i]);
    if (view->artifact_count > 0)
        fprintf(stderr, "%lld artifacts: --json has them\n", (long long)view->artifact_count);
    if (view->hint && view->hint[0] != '\0')
        fprintf(stderr, "hint: %s\n", view->hint);
    show_event(view, &line);
    fprintf(stderr, "job %s %s\n", view->job_id ? view->job_id : "?", line.data);
}

int submit_exit_code(const struct event_view *view)
{
    if (view->status && strcmp(view->status, "succeeded") == 0)
        return EXIT_OK;
    return view->exit_code >= 1 && view->exit_code <= OWN_EXIT_CODE_MAX ? (int)view->exit_code : EXIT_FAILED;
}
