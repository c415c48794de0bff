/* A command as it goes on the wire: "*COUNT", then "$LENGTH" and the bytes of each word. hiredis would copy
 * every word three times, and print its length with printf: 3 % of the worker's CPU. */
#include "redis/command.h"

#include <string.h>

static const char line_end[] = "\r\n";

void command_bytes(struct command *command, struct bytes bytes)
{
    struct buffer *words = &command->words;
    buffer_append_byte(words, '$');
    buffer_append_int(words, (int64_t)bytes.length);
    buffer_append(words, line_end, 2);
    buffer_append(words, bytes.data, bytes.length);
    buffer_append(words, line_end, 2);
    command->count++;
}

void command_text(struct command *command, const char *text)
{
    command_bytes(command, (struct bytes){.data = text, .length = strlen(text)});
}

void command_int(struct command *command, int64_t value)
{
    char text[INT_TEXT_SIZE];
    command_bytes(command, (struct bytes){.data = text, .length = base_int_text(value, text)});
}

void command_script(struct command *command, enum script_name script, const char *prefix)
{
    buffer_reserve(&command->words, 1024); /* most of them are shorter */
    command_text(command, "EVALSHA");
    command_text(command, scripts[script].sha1);
    command_text(command, "1");
    command_text(command, prefix);
}

/* hiredis searches in what it is given as in a text: a NUL follows, as in every buffer. */
struct bytes command_format(struct command *command)
{
    struct buffer wire = {0};
    buffer_reserve(&wire, command->words.length + 32);
    buffer_append_byte(&wire, '*');
    buffer_append_int(&wire, command->count);
    buffer_append(&wire, line_end, 2);
    buffer_append(&wire, command->words.data, command->words.length);
    buffer_release(&command->words);
    *command = (struct command){0};
    size_t length = wire.length;
    return (struct bytes){.data = buffer_take(&wire), .length = length};
}
