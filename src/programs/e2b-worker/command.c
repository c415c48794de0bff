/* What the subcommands share: options, messages, the configuration. */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void command_help(const struct command *command)
{
    printf("usage: e2b-worker %s %s\n\n%s.\n\n%s", command->name, command->arguments, command->summary,
           command->help);
}

int command_usage(const struct command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "e2b-worker %s: ", command->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nsee: e2b-worker %s --help\n", command->name);
    va_end(args);
    return EXIT_USAGE;
}

/* A word of the command line, and what follows it. */
struct word {
    const char *text, *next; /* NULL: nothing follows */
    bool has_taken_next;
};

/* "--name=value" or "--name value". Returns: the value; NULL when this word is not `name`. */
static const char *value_of(const char *name, struct word *word)
{
    size_t length = strlen(name);
    if (strncmp(word->text, name, length) != 0)
        return NULL;
    if (word->text[length] == '=')
        return word->text + length + 1;
    if (word->text[length] != '\0')
        return NULL;
    word->has_taken_next = true;
    return word->next ? word->next : "";
}

/* One of ours or one of the subcommand's. Returns: whether the word was understood. */
static bool take_option(struct word *word, const struct command_option *own, size_t own_count,
                        struct command_options *options)
{
    const char *value;
    if ((value = value_of("--config", word))) {
        options->input.file = value;
        return true;
    }
    if ((value = value_of("--env-file", word))) {
        options->input.env_file = value;
        return true;
    }
    if ((value = value_of("--set", word))) {
        if (options->input.set_count < COMMAND_SETS_MAX)
            options->sets[options->input.set_count++] = value;
        return true;
    }
    for (size_t i = 0; i < own_count; i++) {
        if (!own[i].has_value && strcmp(word->text, own[i].name) == 0) {
            *own[i].value = own[i].name;
            return true;
        }
        if (own[i].has_value && (value = value_of(own[i].name, word))) {
            *own[i].value = value;
            return true;
        }
    }
    return false;
}

int command_parse(const struct command *command, int argc, char **argv, const struct command_option *own,
                  size_t own_count, struct command_options *ret)
{
    *ret = (struct command_options){.input.environment = environ};
    for (int i = 1; i < argc; i++) {
        struct word word = {.text = argv[i], .next = i + 1 < argc ? argv[i + 1] : NULL};
        if (strcmp(word.text, "--help") == 0 || strcmp(word.text, "-h") == 0) {
            command_help(command);
            return -1;
        }
        if (word.text[0] != '-' || strcmp(word.text, "-") == 0) {
            if (ret->rest_count == ARRAY_LENGTH(ret->rest))
                return command_usage(command, "too many arguments at '%s'", word.text);
            ret->rest[ret->rest_count++] = word.text;
            continue;
        }
        if (!take_option(&word, own, own_count, ret))
            return command_usage(command, "unknown option '%s'", word.text);
        if (word.has_taken_next && !word.next)
            return command_usage(command, "option '%s' needs a value", word.text);
        i += word.has_taken_next;
    }
    if (ret->input.set_count == COMMAND_SETS_MAX)
        return command_usage(command, "more than %d --set options: put them into a file for --config",
                             COMMAND_SETS_MAX - 1);
    ret->input.sets = ret->sets;
    return EXIT_OK;
}

bool command_number(const struct command *command, const char *name, const char *text, int64_t min,
                    int64_t max, int64_t *ret)
{
    if (!text)
        return true;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max) {
        (void)command_usage(command, "%s must be a number from %lld to %lld, found '%s'", name,
                            (long long)min, (long long)max, text);
        return false;
    }
    *ret = value;
    return true;
}

bool command_job(const struct command *command, const struct command_options *options, const char *tenant,
                 struct arena *arena, struct command_job *ret)
{
    const char *names[] = {options->rest[0], tenant ? tenant : "default"};
    if (options->rest_count != 1) {
        (void)command_usage(command, options->rest_count == 0 ? "say which job: its id" : "one job a call");
        return false;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (job_is_name(names[i]))
            continue;
        (void)command_usage(command, "%s must be 1 to 64 letters, digits and . _ : -, found '%s'",
                            i == 0 ? "a job's id" : "--tenant", names[i]);
        return false;
    }
    *ret = (struct command_job){names[0], names[1], arena_printf(arena, "%s/%s", names[1], names[0])};
    return true;
}

int command_load(const struct command_options *options, struct arena *arena, struct config *ret)
{
    struct error error;
    struct config_input input = options->input;
    input.sets = options->sets;
    if (config_load(&input, arena, ret, &error))
        return EXIT_OK;
    fprintf(stderr, "e2b-worker: %s\n", error.text);
    return EXIT_CONFIG;
}

struct log command_log(const struct config *config)
{
    return (struct log){.level = config->log_level, .worker = config->worker_name};
}
