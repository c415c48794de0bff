#ifndef KAFKA_PROPERTIES_H
#define KAFKA_PROPERTIES_H
#include "base/base.h"

/* librdkafka's own list of its configuration properties, as the version that is linked prints it: which there
 * are, and whether consumers or producers take them. Private to the layer. */

enum property_scope {
    PROPERTY_UNKNOWN, /* not listed; librdkafka may know it nevertheless, it hides some */
    PROPERTY_CONSUMER,
    PROPERTY_PRODUCER,
    PROPERTY_BOTH,
};

struct property {
    const char *name;
    enum property_scope scope;
};

struct properties {
    char *text; /* the list, in which the names lie */
    struct property *items;
    size_t count;
};

/* Empty when librdkafka prints it otherwise than it does today. */
void properties_init(struct properties *properties);
void properties_release(struct properties *properties);

enum property_scope properties_find(const struct properties *properties, const char *name);
/* Returns: the name that was probably meant, NULL for none. */
const char *properties_near(const struct properties *properties, const char *name);

#endif
