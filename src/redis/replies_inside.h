#ifndef REDIS_REPLIES_INSIDE_H
#define REDIS_REPLIES_INSIDE_H
#include "redis/replies.h"

#include <hiredis/hiredis.h>

/* What the decoders read with. None of them touches *ret when it returns false. */

/* Returns: false, with reterr set. */
bool replies_malformed(struct error *reterr, enum script_name script);
bool replies_is_array(const redisReply *reply, size_t at_least);
const redisReply *replies_element(const redisReply *array, size_t i); /* NULL: beyond the end */

/* All take NULL for a reply that is not there. */
bool replies_read_text(const redisReply *reply, const char **ret); /* of ours: short, without NUL */
bool replies_read_int(const redisReply *reply, int64_t *ret);
bool replies_read_count(const redisReply *reply, int64_t *ret); /* not negative */
bool replies_read_flag(const redisReply *reply, bool *ret);

#endif
