/* A record of the dead-letter topic: what it says of itself, and what would go back. */
#include "dlq_record.h"
#include "record_text.h"
#include "topic_list.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_so)
{
    if (!is_so)
        abort();
}

static const struct config *defaults(void)
{
    static struct config config;
    static struct arena arena;
    struct error error;
    if (arena.bytes == 0)
        require(config_load(&(struct config_input){0}, &arena, &config, &error));
    return &config;
}

static void check_way(const struct config *config, const struct dlq_way *way)
{
    bool is_read = strcmp(way->topic, config->topics.control) == 0;
    for (size_t i = 0; i < config->topics.jobs.count; i++)
        is_read = is_read || topic_matches(config->topics.jobs.items[i], way->topic);
    require(is_read && way->header_count > 0);
    for (size_t i = 0; i < way->header_count; i++)
        require(strncmp(way->headers[i].name, "__connect.errors.", 17) != 0 &&
                (strcmp(way->headers[i].name, DLQ_REQUEUED) == 0) == (i + 1 == way->header_count));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct record_text text;
    struct dlq_record record;
    struct dlq_way way;
    const char *why = NULL;
    record_text_read((struct bytes){data, size}, &arena, &text);
    dlq_record_read(text.headers, text.count, text.value, text.value, &arena, &record);
    require(record.from_partition >= -1 && record.from_offset >= -1);
    require(!record.job_id || job_is_name(record.job_id));
    if (dlq_way_back(&record, defaults(), &arena, &way, &why))
        check_way(defaults(), &way);
    else
        require(why != NULL);
    arena_release(&arena);
    return 0;
}
