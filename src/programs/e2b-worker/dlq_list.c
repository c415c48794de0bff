/* dlq list: what is in the dead-letter topic. */
#include "dlq.h"

#include "base/clock.h"
#include "codec/writer.h"
#include "show.h"

#include <stdio.h>
#include <string.h>

void dlq_show_origin(const struct dlq_record *record, struct buffer *out)
{
    if (!record->from_topic) {
        buffer_append_text(out, "?");
        return;
    }
    buffer_append_text(out, record->from_topic);
    if (record->from_partition >= 0 && record->from_offset >= 0)
        buffer_append_format(out, "/%d/%lld", (int)record->from_partition, (long long)record->from_offset);
}

static const char *or_dash(const char *text)
{
    return text && text[0] != '\0' ? text : "-";
}

static void print_row(const struct dlq_entry *entry, int width)
{
    const struct dlq_record *record = &entry->record;
    CLEANUP(buffer_release) struct buffer from = {0}, size = {0};
    char time[CLOCK_TEXT_SIZE];
    clock_format(MAX(record->unix_ms, 0), time);
    dlq_show_origin(record, &from);
    show_size((int64_t)entry->value_bytes, &size);
    printf("%-20.19s %-*s %-17s %10s  %-24s %s\n", time, width, from.data, or_dash(record->code), size.data,
           or_dash(record->job_id ? record->job_id : record->key_text), or_dash(record->message));
}

static void print_table(const struct dlq_list *list)
{
    int width = (int)strlen("FROM (TOPIC/PARTITION/OFFSET)");
    for (size_t i = 0; i < list->count; i++) {
        CLEANUP(buffer_release) struct buffer from = {0};
        dlq_show_origin(&list->items[i]->record, &from);
        width = MAX(width, (int)from.length);
    }
    if (list->count > 0)
        printf("%-20s %-*s %-17s %10s  %-24s %s\n", "WHEN (UTC)", width, "FROM (TOPIC/PARTITION/OFFSET)",
               "CODE", "SIZE", "JOB OR KEY", "MESSAGE");
    for (size_t i = 0; i < list->count; i++)
        print_row(list->items[i], width);
}

static void print_json(const struct dlq_entry *entry)
{
    const struct dlq_record *record = &entry->record;
    CLEANUP(buffer_release) struct buffer out = {0};
    struct writer writer = {.out = &out};
    char time[CLOCK_TEXT_SIZE];
    clock_format(MAX(record->unix_ms, 0), time);
    writer_begin_object(&writer);
    writer_field_text(&writer, "time", time);
    writer_field_text(&writer, "topic", record->from_topic);
    writer_field_count(&writer, "partition", record->from_partition);
    writer_field_count(&writer, "offset", record->from_offset);
    writer_field_text(&writer, "code", record->code);
    writer_field_text(&writer, "message", record->message);
    writer_field_text(&writer, "job_id", record->job_id);
    writer_field_text(&writer, "key", record->key_text);
    writer_field_int(&writer, "bytes", (int64_t)entry->value_bytes);
    writer_field_int(&writer, "dlq_partition", record->partition);
    writer_field_int(&writer, "dlq_offset", record->offset);
    writer_end_object(&writer);
    printf("%s\n", out.data);
}

int dlq_show(const struct config *config, const struct dlq_options *options)
{
    struct dlq_list list;
    struct dlq_wish wish = options->wish;
    wish.without_value = true;
    int status = dlq_read(config, &wish, &list);
    if (status == EXIT_OK && options->is_json) {
        for (size_t i = 0; i < list.count; i++)
            print_json(list.items[i]);
    } else if (status == EXIT_OK) {
        print_table(&list);
        if (list.matched == 0)
            fprintf(stderr, "e2b-worker dlq: no such record in %s\n", config->topics.dlq);
        if (list.matched > list.count)
            fprintf(stderr, "e2b-worker dlq: the newest %zu of %zu; --max shows more\n", list.count,
                    list.matched);
    }
    if (status == EXIT_OK && list.is_over_budget)
        fprintf(stderr, "e2b-worker dlq: that is not all: narrow it by --max, --since or another option\n");
    dlq_list_release(&list);
    return status == EXIT_OK && fflush(stdout) != 0 ? EXIT_FAILED : status;
}
