/* Programs: their text says what they do. */
#include "fakes/e2b/inside.h"

#include <stdlib.h>
#include <string.h>

static void step(void *arg);

struct program *program_new(struct place *place, const char *text)
{
    struct program *program = base_alloc(sizeof *program);
    program->place = place;
    program->text = base_strdup(text);
    program->record = base_strdup("");
    program->at = program->text;
    list_init(&program->followers);
    list_push_back(&place->programs, &program->link);
    e2b_world_tally(place->world, place->job)->starts++;
    if (place->world->eye && place->world->eye->on_started)
        place->world->eye->on_started(place->world->eye->arg, place);
    return program;
}

struct program *program_find(const struct place *place, const char *record)
{
    LIST_EACH(&place->programs, link)
    {
        struct program *program = LIST_OBJECT(link, struct program, link);
        if (strcmp(program->record, record) == 0)
            return program;
    }
    return NULL;
}

void program_free(struct program *program)
{
    buffer_release(&program->out);
    buffer_release(&program->err);
    free(program->text);
    free(program->record);
    free(program->name);
    free(program->value);
    free(program);
}

static void end(struct program *program)
{
    struct loop *loop = program->place->world->loop;
    loop_timer_stop(loop, &program->next);
    loop_timer_stop(loop, &program->limit);
    program->has_ended = true;
}

/* Silently: whoever wants its followers to know tells them. */
void program_stop(struct program *program, int signal)
{
    if (program->has_ended)
        return;
    program->signal = signal;
    end(program);
}

void program_start(struct program *program)
{
    loop_timer_start(program->place->world->loop, &program->next, 1, step, program);
}

static void print(struct buffer *out, const char *words)
{
    buffer_append_text(out, words);
    buffer_append_text(out, "\n");
}

static void write_file(struct program *program, char *words)
{
    char *text = words + strcspn(words, " ");
    if (*text != '\0')
        *text++ = '\0';
    place_write(program->place, words, (struct bytes){text, strlen(text)});
}

static void raise_exception(struct program *program, const char *words)
{
    size_t length = strcspn(words, " ");
    program->name = base_strndup(words, length);
    program->value = base_strdup(words[length] ? words + length + 1 : "");
    program->exit_code = 1;
    end(program);
}

/* Returns: how long until the next line; -1: none follows. */
static int64_t obey(struct program *program, char *line)
{
    char *words = line + strcspn(line, " ");
    if (*words != '\0')
        *words++ = '\0';
    if (strcmp(line, "print") == 0)
        print(&program->out, words);
    else if (strcmp(line, "error") == 0)
        print(&program->err, words);
    else if (strcmp(line, "write") == 0)
        write_file(program, words);
    else if (strcmp(line, "raise") == 0)
        raise_exception(program, words);
    else if (strcmp(line, "cut") == 0)
        program->is_cut = true;
    else if (strcmp(line, "sleep") == 0)
        return atoll(words);
    else if (strcmp(line, "hang") == 0)
        return -1;
    else if (strcmp(line, "exit") == 0 || strcmp(line, "signal") == 0) {
        *(line[0] == 'e' ? &program->exit_code : &program->signal) = atoi(words);
        end(program);
    } else if (strcmp(line, "vanish") == 0) {
        place_end(program->place, "vanished");
        return -1;
    }
    return program->has_ended ? -1 : 0;
}

static void step(void *arg)
{
    struct program *program = arg;
    int64_t wait_ms = 0;
    while (wait_ms == 0 && *program->at != '\0' && !program->is_cut) {
        size_t length = strcspn(program->at, "\n");
        CLEANUP(base_freep) char *line = base_strndup(program->at, length);
        program->at += length + (program->at[length] == '\n');
        wait_ms = obey(program, line);
    }
    if (wait_ms == 0 && !program->is_cut)
        end(program);
    if (wait_ms > 0 || program->is_cut)
        loop_timer_start(program->place->world->loop, &program->next, wait_ms, step, program);
    if (!program->place->is_gone)
        program_tell(program);
}
