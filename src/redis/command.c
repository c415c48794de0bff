/* A growing list of words, written by hiredis. */
#include "redis/command.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void command_bytes(struct command *command, struct bytes bytes)
{
    if (command->count == command->capacity) {
        command->capacity = MAX(command->capacity * 2, 32);
        command->words = base_realloc(command->words, sizeof *command->words * (size_t)command->capacity);
        command->lengths =
            base_realloc(command->lengths, sizeof *command->lengths * (size_t)command->capacity);
    }
    command->words[command->count] = bytes.length > 0 ? bytes.data : "";
    command->lengths[command->count++] = bytes.length;
}

void command_text(struct command *command, const char *text)
{
    command_bytes(command, (struct bytes){.data = text, .length = strlen(text)});
}

void command_int(struct command *command, int64_t value)
{
    command_text(command, arena_printf(&command->arena, "%" PRId64, value));
}

void command_script(struct command *command, enum script_name script, const char *prefix)
{
    command_text(command, "EVALSHA");
    command_text(command, scripts[script].sha1);
    command_text(command, "1");
    command_text(command, prefix);
}

struct bytes command_format(struct command *command)
{
    char *wire = NULL;
    int length = redisFormatCommandArgv(&wire, command->count, command->words, command->lengths);
    if (length < 0)
        base_die("out of memory writing a Redis command");
    /* hiredis may have an allocator of its own: hand out memory that free(3) takes. It also searches in what
     * it is given back as in a text, so a NUL follows. */
    struct bytes bytes = {.data = base_strndup(wire, (size_t)length), .length = (size_t)length};
    redisFreeCommand(wire);
    arena_release(&command->arena);
    free(command->words);
    free(command->lengths);
    *command = (struct command){0};
    return bytes;
}
