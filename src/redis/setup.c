/* INFO memory and SCRIPT LOAD. */
#include "redis/setup.h"

#include "redis/command.h"
#include "redis/replies.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct setup {
    setup_fn fn;
    void *arg;
    int waiting; /* answers */
    bool is_broken;
    char why[200];
};

static void blame(struct setup *setup, const char *why)
{
    if (setup->why[0] == '\0')
        snprintf(setup->why, sizeof setup->why, "%.*s", (int)sizeof setup->why - 1, why);
}

static void count_down(struct setup *setup)
{
    if (--setup->waiting > 0)
        return;
    setup->fn(setup->arg, setup->why[0] != '\0' ? setup->why : NULL, setup->is_broken);
    free(setup);
}

static bool is_usable(struct setup *setup, const struct error *error)
{
    if (!error)
        return true;
    blame(setup, error->text);
    setup->is_broken = setup->is_broken || error->kind == ERROR_TRANSIENT;
    return false;
}

static void on_info(void *arg, const struct error *error, const redisReply *reply)
{
    struct setup *setup = arg;
    char policy[64], why[200];
    if (!is_usable(setup, error)) {
        count_down(setup);
        return;
    }
    if (!replies_info(reply, "maxmemory_policy", policy, sizeof policy)) {
        blame(setup, "Redis does not say its maxmemory-policy in INFO memory: it must be noeviction");
    } else if (strcmp(policy, "noeviction") != 0) {
        /* Any other policy drops claims and permits silently when memory is short. */
        snprintf(why, sizeof why,
                 "Redis evicts keys (maxmemory-policy %s), so claims would vanish: "
                 "CONFIG SET maxmemory-policy noeviction",
                 policy);
        blame(setup, why);
    }
    count_down(setup);
}

static void on_loaded(void *arg, const struct error *error, const redisReply *reply)
{
    struct setup *setup = arg;
    if (is_usable(setup, error)) {
        bool is_known = false;
        for (size_t i = 0; i < SCRIPT_COUNT; i++)
            is_known |= reply->type == REDIS_REPLY_STRING && strcmp(reply->str, scripts[i].sha1) == 0;
        if (!is_known)
            blame(setup,
                  "Redis answered SCRIPT LOAD with another SHA-1 than ours: is there a proxy in between "
                  "that rewrites commands?");
    }
    count_down(setup);
}

static void ask(struct setup *setup, struct connection *connection, struct command *command,
                connection_reply_fn fn)
{
    struct bytes wire = command_format(command);
    setup->waiting++;
    if (!connection_send(connection, wire, fn, setup)) {
        setup->waiting--;
        setup->is_broken = true;
        blame(setup, "the connection to Redis broke");
    }
    free((void *)wire.data);
}

void setup_start(struct connection *connection, setup_fn fn, void *arg)
{
    struct setup *setup = base_alloc(sizeof *setup);
    *setup = (struct setup){.fn = fn, .arg = arg, .waiting = 1};
    struct command command = {0};
    command_text(&command, "INFO");
    command_text(&command, "memory");
    ask(setup, connection, &command, on_info);
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        command_text(&command, "SCRIPT");
        command_text(&command, "LOAD");
        command_text(&command, scripts[i].text);
        ask(setup, connection, &command, on_loaded);
    }
    count_down(setup);
}
