#ifndef CODEC_BUNDLE_H
#define CODEC_BUNDLE_H
#include "base/base.h"

/* A rich result as the sandbox gave it: a MIME bundle, one JSON object. It is handed on as it is, so it must
 * be looked at first: a program in the sandbox may have written anything. Private to codec/. */

struct bundle {
    bool is_valid; /* one JSON object, UTF-8, not nested so deeply that readers of the result would choke */
    bool is_main;  /* "is_main_result" */
};

struct bundle bundle_inspect(struct bytes json);

#endif
