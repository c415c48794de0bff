/* Failures as values. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

bool error_set(struct error *reterr, enum error_kind kind, const char *origin, long code, const char *format,
               ...)
{
    if (!reterr)
        return false;
    reterr->kind = kind;
    reterr->origin = origin;
    reterr->code = code;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reterr->text, sizeof reterr->text, format, args);
    va_end(args);
    return false;
}

const char *error_kind_name(enum error_kind kind)
{
    switch (kind) {
    case ERROR_TRANSIENT:
        return "TRANSIENT";
    case ERROR_REJECTED:
        return "REJECTED";
    case ERROR_TIMEOUT:
        return "TIMEOUT";
    case ERROR_CANCELED:
        return "CANCELED";
    case ERROR_OVERLOAD:
        return "OVERLOAD";
    case ERROR_INTERNAL:
        return "INTERNAL";
    }
    return "UNKNOWN";
}
