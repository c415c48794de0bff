/* e2b-worker config: what the configuration is, and what it may be. */
#include "command.h"

#include <stdio.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_config = {
    .name = "config",
    .arguments = "print|check|schema|table [OPTIONS]",
    .summary = "shows the effective configuration, or what one may say",
    .help = "  print    the effective configuration as JSON, secrets masked\n"
            "  check    reads it, and tells what is odd but works\n"
            "  schema   the JSON Schema of a configuration file\n"
            "  table    the keys, their defaults and meanings, as Markdown\n\n"
            "Exit codes: 0 fine, 2 usage, 78 the configuration is wrong.\n\n" COMMAND_CONFIG_HELP,
    .run = run,
};

static int print_buffer(struct buffer *out)
{
    bool is_written = fwrite(out->data, 1, out->length, stdout) == out->length;
    if (out->length > 0 && out->data[out->length - 1] != '\n')
        is_written = putchar('\n') != EOF && is_written;
    buffer_release(out);
    return is_written && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int check(const struct config *config, struct arena *arena)
{
    struct text_list warnings = {0};
    config_warnings(config, arena, &warnings);
    for (size_t i = 0; i < warnings.count; i++)
        printf("warning: %s\n", warnings.items[i]);
    printf("the configuration works: mode=%s, %zu templates, kafka %s, redis ledger %s\n",
           config->mode == MODE_SIMULATION ? "simulation" : "production", config->catalog.count,
           config->kafka_bootstrap_servers, config->ledger);
    return EXIT_OK;
}

static int with_config(const struct command_options *options, bool is_check)
{
    struct arena arena;
    struct config config;
    struct buffer out = {0};
    arena_init(&arena, 16384);
    int status = command_load(options, &arena, &config);
    if (status == EXIT_OK && is_check) {
        status = check(&config, &arena);
    } else if (status == EXIT_OK) {
        config_print(&config, &out);
        status = print_buffer(&out);
    }
    arena_release(&arena);
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options options;
    struct buffer out = {0};
    int status = command_parse(command, argc, argv, NULL, 0, &options);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    if (options.rest_count != 1)
        return command_usage(command, "say print, check, schema or table");
    const char *what = options.rest[0];
    if (strcmp(what, "print") == 0 || strcmp(what, "check") == 0)
        return with_config(&options, /* is_check= */ what[0] == 'c');
    if (strcmp(what, "schema") == 0)
        config_schema(&out);
    else if (strcmp(what, "table") == 0)
        config_table(&out);
    else
        return command_usage(command, "'%s' is none of print, check, schema, table", what);
    return print_buffer(&out);
}
