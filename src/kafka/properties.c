/* The list of librdkafka's properties: printed into memory, read line by line. */
#include "kafka/properties.h"

#include "base/nearest.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line of the list is "name | C | range | ..."; "P" for producers, "*" for both. */
static bool read_line(char *line, struct property *ret)
{
    char *bar = strchr(line, '|');
    if (!bar)
        return false;
    const char *scope = bar + 1 + strspn(bar + 1, " ");
    if (!strchr("CP*", *scope) || (scope[1] != ' ' && scope[1] != '|'))
        return false;
    line[strcspn(line, " |")] = '\0';
    ret->name = line;
    ret->scope = *scope == 'C' ? PROPERTY_CONSUMER : *scope == 'P' ? PROPERTY_PRODUCER : PROPERTY_BOTH;
    return true;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    while ((text = strchr(text, '\n'))) {
        count++;
        text++;
    }
    return count;
}

void properties_init(struct properties *properties)
{
    size_t size;
    *properties = (struct properties){0};
    FILE *file = open_memstream(&properties->text, &size);
    if (!file)
        return;
    rd_kafka_conf_properties_show(file);
    if (fclose(file) != 0)
        return;
    properties->items = base_alloc((count_lines(properties->text) + 1) * sizeof *properties->items);
    char *rest = properties->text;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (read_line(line, &properties->items[properties->count]))
            properties->count++;
}

void properties_release(struct properties *properties)
{
    free(properties->items);
    free(properties->text);
    *properties = (struct properties){0};
}

enum property_scope properties_find(const struct properties *properties, const char *name)
{
    for (size_t i = 0; i < properties->count; i++)
        if (strcmp(properties->items[i].name, name) == 0)
            return properties->items[i].scope;
    return PROPERTY_UNKNOWN;
}

const char *properties_near(const struct properties *properties, const char *name)
{
    const char **names = base_alloc((properties->count + 1) * sizeof *names);
    for (size_t i = 0; i < properties->count; i++)
        names[i] = properties->items[i].name;
    const char *near = nearest_name(name, names, properties->count);
    free((void *)names);
    return near;
}
