/* e2b-worker limits: how full the limits are, and an operator's values for them. */
#include "command.h"

#include "limits_table.h"
#include "loop/on_uv.h"
#include "onlooker.h"
#include "show.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_limits = {
    .name = "limits",
    .arguments = "[show] | set NAME VALUE|default [OPTIONS]",
    .summary = "shows how full the limits are, and sets their maxima live",
    .help =
        "NAME is global, tenant:ID, template:NAME, class:PRIORITY or reserve:interactive. A value that is "
        "set\n"
        "stands in the ledger in Redis and replaces what the workers have configured, for all of them and "
        "at\n"
        "once, until 'default' takes it away or Redis is emptied. What lives already is not ended. 0 stops "
        "new\n"
        "sandboxes under that limit. A share that is configured in percent (class:batch, "
        "reserve:interactive)\n"
        "does not follow a new global value.\n\n"
        "The table: sandboxes that live under the limit; its maximum in force, by this command's "
        "configuration,\n"
        "and as an operator set it; who waits there, in workers that are full; age of the oldest sandbox.\n"
        "Exit codes: 0 done, 2 usage, 69 Redis does not answer, 78 configuration.\n\n"
        "  --json             the table, or the change, as JSON\n" COMMAND_CONFIG_HELP,
    .run = run,
};

/* What was asked for. */
struct wish {
    bool is_set, is_json;
    struct limit limit;
    int64_t value;
};

struct looking {
    struct loop *loop;
    struct arena *arena;
    const struct config *config;
    const struct wish *wish;
    struct onlooker onlooker;
    struct limit_row before; /* of the limit that is set */
    struct ledger_condition condition;
    int status;
};

/* ---- the end ---- */

static void on_closed(void *arg)
{
    struct looking *looking = arg;
    loop_stop(looking->loop);
}

static void finish(struct looking *looking, int status)
{
    looking->status = status;
    onlooker_close(&looking->onlooker, on_closed, looking);
}

static void fail(struct looking *looking, const char *why)
{
    fprintf(stderr, "e2b-worker limits: the ledger %s in Redis at %s cannot be asked: %s (REDIS_URL)\n",
            looking->config->ledger, onlooker_place(looking->config), why);
    finish(looking, EXIT_UNAVAILABLE);
}

static void print(struct looking *looking, const struct buffer *out)
{
    bool is_written = fwrite(out->data, 1, out->length, stdout) == out->length && fflush(stdout) == 0;
    finish(looking, is_written ? EXIT_OK : EXIT_FAILED);
}

/* ---- answers ---- */

static void on_set(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct looking *looking = call->arg;
    CLEANUP(buffer_release) struct buffer out = {0};
    (void)answer; /* there is one only */
    if (error) {
        fail(looking, error->text);
        return;
    }
    if (looking->wish->is_json) {
        limit_change_encode(&looking->before, looking->wish->value, &out);
        buffer_append_byte(&out, '\n');
    } else {
        limit_change_show(&looking->before, looking->wish->value, looking->config->ledger, &out);
    }
    print(looking, &out);
}

static void show(struct looking *looking, const struct limit_table *table)
{
    CLEANUP(buffer_release) struct buffer out = {0};
    if (looking->wish->is_json) {
        limit_table_encode(table, &looking->condition, &out);
        buffer_append_byte(&out, '\n');
    } else {
        limit_table_show(table, &out);
    }
    print(looking, &out);
}

static void on_usage(struct ledger_call *call, const struct error *error, const struct ledger_usage *usage,
                     size_t count)
{
    struct looking *looking = call->arg;
    const struct wish *wish = looking->wish;
    if (error) {
        fail(looking, error->text);
        return;
    }
    struct limit_table table = limit_table_of(looking->config, usage, count, looking->arena);
    if (!wish->is_set) {
        show(looking, &table);
        return;
    }
    looking->before = limit_table_find(&table, looking->config, &wish->limit, looking->arena);
    ledger_limit_set(looking->onlooker.ledger, &looking->onlooker.call,
                     limit_key(wish->limit.kind, wish->limit.of, looking->arena), wish->value, on_set);
}

static void on_condition(struct ledger_call *call, const struct error *error,
                         const struct ledger_condition *condition)
{
    struct looking *looking = call->arg;
    CLEANUP(buffer_release) struct buffer line = {0};
    if (error) {
        fail(looking, error->text);
        return;
    }
    looking->condition = *condition;
    looking->condition.why = arena_strdup(looking->arena, condition->why);
    if (condition->why[0] != '\0') {
        show_condition(condition, &line);
        fprintf(stderr, "e2b-worker limits: nothing is granted now: %s\n", line.data);
    }
    ledger_snapshot(looking->onlooker.ledger, &looking->onlooker.call, on_usage);
}

static void on_found(void *arg, const char *why)
{
    struct looking *looking = arg;
    if (why)
        fail(looking, why);
    else
        ledger_condition(looking->onlooker.ledger, &looking->onlooker.call, on_condition);
}

static int look(const struct config *config, const struct wish *wish, struct arena *arena)
{
    struct error error;
    struct looking looking = {.loop = loop_new(), .arena = arena, .config = config, .wish = wish};
    if (onlooker_open(&looking.onlooker, looking.loop, config, on_found, &looking, &error)) {
        loop_run(looking.loop);
    } else {
        fprintf(stderr, "e2b-worker limits: %s (REDIS_URL)\n", error.text);
        looking.status = EXIT_CONFIG;
    }
    loop_free(looking.loop, NULL, NULL);
    return looking.status;
}

/* ---- words ---- */

static int with_config(const struct command *command, const struct command_options *options,
                       struct wish *wish, struct arena *arena)
{
    struct config config;
    struct error error;
    int status = command_load(options, arena, &config);
    if (status != EXIT_OK)
        return status;
    if (wish->is_set && (!limit_target_parse(options->rest[1], &config, &wish->limit, &error) ||
                         !limit_value_parse(options->rest[2], &wish->value, &error)))
        return command_usage(command, "%s", error.text);
    return look(&config, wish, arena);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options options;
    const char *json = NULL;
    const struct command_option own[] = {{"--json", false, &json}};
    int status = command_parse(command, argc, argv, own, ARRAY_LENGTH(own), &options);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    const char *verb = options.rest_count > 0 ? options.rest[0] : "show";
    struct wish wish = {.is_set = strcmp(verb, "set") == 0, .is_json = json != NULL};
    if (!wish.is_set && strcmp(verb, "show") != 0)
        return command_usage(command, "'%s' is neither show nor set", verb);
    if (wish.is_set && options.rest_count != 3)
        return command_usage(command, "say what and to what: limits set global 50");
    if (!wish.is_set && options.rest_count > 1)
        return command_usage(command, "unexpected argument '%s'", options.rest[1]);
    (void)signal(SIGPIPE, SIG_IGN);
    struct arena arena;
    arena_init(&arena, 16384);
    status = with_config(command, &options, &wish, &arena);
    arena_release(&arena);
    return status;
}
