/* e2b-worker: finds the subcommand. */
#include "command.h"

#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
    &command_run, &command_submit, &command_watch,  &command_status, &command_cancel, &command_limits,
    &command_dlq, &command_config, &command_doctor, &command_topics, &command_dev,
};

static void help(void)
{
    printf("usage: e2b-worker COMMAND [OPTIONS]\n\n"
           "Takes code-execution jobs from Kafka, runs each in an E2B sandbox under a limit that all workers "
           "share in\n"
           "Redis, and publishes one result each.\n\n");
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n  --version, --help; e2b-worker COMMAND --help tells more\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help();
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("e2b-worker %s\n", E2BW_VERSION);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        help();
        return EXIT_OK;
    }
    const char *names[ARRAY_LENGTH(commands)];
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        names[i] = commands[i]->name;
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(commands[i], argc - 1, argv + 1);
    }
    const char *near = nearest_name(argv[1], names, ARRAY_LENGTH(names));
    fprintf(stderr, "e2b-worker: no command '%s'%s%s%s\nsee: e2b-worker --help\n", argv[1],
            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return EXIT_USAGE;
}
