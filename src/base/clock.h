#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include "base/base.h"

/* Real clocks, in ms. Only loops and programs read them: the worker's time comes from its loop, so that a
 * test can turn it. RFC 3339 text in and out lives here too, since it is libc's calendar and nothing else. */

int64_t clock_monotonic_ms(void); /* stands still while the machine sleeps */
int64_t clock_boot_ms(void);      /* goes on while the machine sleeps: leases are judged by it */
int64_t clock_unix_ms(void);      /* wall time: for people and messages, never for safety */

enum { CLOCK_TEXT_SIZE = 32 };

/* Writes "2026-11-21T08:15:30.123Z". */
void clock_format(int64_t unix_ms, char text[CLOCK_TEXT_SIZE]);

/* Reads RFC 3339 (date, time, optional fraction, Z or offset). Years 1970 to 9999.
 * Returns: false, *ret untouched, when the text is not of that form. */
bool clock_parse(const char *text, int64_t *ret_unix_ms) MUST_USE;

#endif
