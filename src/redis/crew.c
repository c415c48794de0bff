/* A list of names, and of ends by CLOCK_BOOTTIME. */
#include "redis/crew.h"

#include <stdlib.h>
#include <string.h>

struct crew_member {
    char *worker;
    int64_t over_boot_ms; /* INT64_MAX: it was alive */
};

static void clear(struct crew *crew)
{
    for (size_t i = 0; i < crew->count; i++)
        free(crew->members[i].worker);
    free(crew->members);
    crew->members = NULL;
    crew->count = 0;
}

void crew_release(struct crew *crew)
{
    clear(crew);
    free(crew->version);
    *crew = (struct crew){0};
}

const char *crew_version(const struct crew *crew)
{
    return crew->version ? crew->version : "";
}

void crew_take(struct crew *crew, const struct pulse_answer *answer, int64_t boot_ms)
{
    /* Only of a ledger that is ready: while it is rebuilt we go on remembering who was there before. */
    if (!answer->is_ready || strcmp(answer->crew_version, crew_version(crew)) == 0)
        return;
    clear(crew);
    free(crew->version);
    crew->version = base_strdup(answer->crew_version);
    size_t count = replies_crew_count(answer->crew);
    if (count > 0)
        crew->members = base_alloc(count * sizeof *crew->members);
    for (; crew->count < count; crew->count++) {
        int64_t left_ms;
        const char *worker = replies_crew(answer->crew, crew->count, &left_ms);
        crew->members[crew->count] = (struct crew_member){
            .worker = base_strdup(worker), .over_boot_ms = left_ms < 0 ? INT64_MAX : boot_ms + left_ms};
    }
}

void crew_write(const struct crew *crew, int64_t boot_ms, struct command *command)
{
    for (size_t i = 0; i < crew->count; i++) {
        const struct crew_member *member = &crew->members[i];
        if (member->over_boot_ms <= boot_ms)
            continue;
        command_text(command, member->worker);
        command_int(command, member->over_boot_ms == INT64_MAX ? -1 : member->over_boot_ms - boot_ms);
    }
}
