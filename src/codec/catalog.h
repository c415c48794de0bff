#ifndef CODEC_CATALOG_H
#define CODEC_CATALOG_H
#include "base/error.h"
#include "core/catalog.h"

/* JSON -> catalogue: the built-in one (src/config/catalog.json, embedded), then the configuration's
 * `templates` object over it: a known name overrides the fields it gives, an unknown one adds a template,
 * null removes one. Returns: false with a sentence that names the JSON pointer. Everything lies in the
 * arena. */
bool catalog_decode(struct bytes builtin, struct bytes overrides, struct arena *arena, struct catalog *ret,
                    struct error *reterr) MUST_USE;

#endif
