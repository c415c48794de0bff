#ifndef REDIS_COMMAND_H
#define REDIS_COMMAND_H
#include "base/buffer.h"
#include "redis/script.h"

/* Builds one Redis command: an array of bulk strings (RESP), word by word. Zero is an empty command. */

struct command {
    struct buffer words; /* as they go on the wire */
    int64_t count;
};

void command_text(struct command *command, const char *text);
void command_bytes(struct command *command, struct bytes bytes);
void command_int(struct command *command, int64_t value);

/* EVALSHA of a script under the ledger's prefix; what follows are the script's arguments. */
void command_script(struct command *command, enum script_name script, const char *prefix);

/* The command on the wire; the command is released. Owns: free(3) the data. */
struct bytes command_format(struct command *command) MUST_USE;

#endif
