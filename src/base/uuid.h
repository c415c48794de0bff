#ifndef BASE_UUID_H
#define BASE_UUID_H
#include "base/base.h"

/* Name-based UUIDs (version 5, RFC 9562, SHA-1 by libuuid): the same name always gives the same id. Used
 * where an id must be stable under redelivery. */

enum { UUID_TEXT_SIZE = 37 };

/* Writes the UUID of `name` in this project's own namespace, lower case. */
void uuid_from_name(const char *name, size_t length, char text[UUID_TEXT_SIZE]);

#endif
