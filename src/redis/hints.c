/* Pub/sub on a second connection. */
#include "redis/hints.h"

#include "redis/connection.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_HINT = 4096 };

struct hints {
    struct hints_options options;
    char *channel, *own_channel;
    struct connection *connection;
};

static void read_turn(const struct hints_options *options, char *limit)
{
    char *space = strchr(limit, ' ');
    if (!options->on_turn || !space || space == limit || space[1] == '\0')
        return;
    *space = '\0';
    options->on_turn(options->arg, limit, space + 1);
}

void hints_read(const struct hints_options *options, struct bytes message)
{
    static const char turn[] = "turn ";
    const struct kind {
        const char *word;
        void (*fn)(void *arg, const char *text);
    } kinds[] = {{"free ", options->on_free}, {"done ", options->on_done}, {"cancel ", options->on_cancel}};
    if (message.length > LONGEST_HINT || memchr(message.data, '\0', message.length))
        return;
    CLEANUP(base_freep) char *text = base_strndup(message.data, message.length);
    if (strncmp(text, turn, strlen(turn)) == 0)
        read_turn(options, text + strlen(turn));
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        size_t length = strlen(kinds[i].word);
        if (kinds[i].fn && strncmp(text, kinds[i].word, length) == 0 && text[length] != '\0')
            kinds[i].fn(options->arg, text + length);
    }
}

static void on_message(void *arg, struct bytes message)
{
    struct hints *hints = arg;
    hints_read(&hints->options, message);
}

static void on_open(void *arg)
{
    struct hints *hints = arg;
    connection_settle(hints->connection);
    connection_subscribe(hints->connection, hints->channel, on_message, hints);
    if (connection_is_open(hints->connection))
        connection_subscribe(hints->connection, hints->own_channel, on_message, hints);
}

static void on_down(void *arg, const char *why)
{
    (void)arg; /* the main connection tells what is wrong with Redis */
    (void)why;
}

struct hints *hints_new(const struct hints_options *options)
{
    struct hints *hints = base_alloc(sizeof *hints);
    hints->options = *options;
    hints->channel = base_printf("%sev", options->prefix);
    hints->own_channel = base_printf("%sev:%s", options->prefix, options->worker);
    hints->connection = connection_new(&(struct connection_options){.loop = options->loop,
                                                                    .random = options->random,
                                                                    .url = options->url,
                                                                    .arg = hints,
                                                                    .on_open = on_open,
                                                                    .on_down = on_down});
    return hints;
}

static void destroy(void *object)
{
    struct hints *hints = object;
    free(hints->channel);
    free(hints->own_channel);
    free(hints);
}

void hints_free(struct hints *hints)
{
    if (!hints)
        return;
    connection_free(hints->connection);
    hints->options.on_free = hints->options.on_done = hints->options.on_cancel = NULL;
    hints->options.on_turn = NULL;
    loop_reap(hints->options.loop, hints, destroy);
}
