/* Real clocks, and RFC 3339. */
#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    if (clock_gettime(id, &now) != 0)
        base_die("clock_gettime(%d) failed", (int)id);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

int64_t clock_unix_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

#define LAST_UNIX_MS INT64_C(253402300799999) /* of the years with four digits */

static char *digits(char *text, int value, int count)
{
    for (int i = count; i-- > 0; value /= 10)
        text[i] = (char)('0' + value % 10);
    return text + count;
}

/* By hand, since strftime and printf were 1.4 % of the worker's instructions. */
void clock_format(int64_t unix_ms, char text[CLOCK_TEXT_SIZE])
{
    unix_ms = MAX(0, MIN(unix_ms, LAST_UNIX_MS)); /* who is further off has no clock */
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc))
        base_die("no calendar date for %lld ms", (long long)unix_ms);
    const int parts[] = {utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec};
    char *at = digits(text, utc.tm_year + 1900, 4);
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        *at++ = "--T::"[i];
        at = digits(at, parts[i], 2);
    }
    *at++ = '.';
    at = digits(at, (int)(unix_ms % 1000), 3);
    *at++ = 'Z';
    *at = '\0';
}

/* ".123456" -> 123; leaves *text behind the digits. */
static int parse_fraction(const char **text)
{
    int ms = 0, scale = 100;
    for (++*text; isdigit((unsigned char)**text); ++*text, scale /= 10)
        ms += (**text - '0') * scale;
    return ms;
}

/* "+01:30" -> 90 */
static bool parse_offset(const char *text, int *ret_minutes)
{
    if ((*text == 'Z' || *text == 'z') && text[1] == '\0') {
        *ret_minutes = 0;
        return true;
    }
    int hours, minutes, end = 0;
    char sign;
    if (sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &end) != 3 || end != 6 || text[6] != '\0')
        return false;
    if ((sign != '+' && sign != '-') || hours > 23 || minutes > 59 || hours < 0 || minutes < 0)
        return false;
    *ret_minutes = (sign == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

/* Exactly "dddd-dd-ddTdd:dd:dd": sscanf alone would accept signs and blanks. */
static bool has_date_shape(const char *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    for (size_t i = 0; shape[i]; i++) {
        bool fits = shape[i] == 'd'   ? isdigit((unsigned char)text[i]) != 0
                    : shape[i] == 'T' ? text[i] == 'T' || text[i] == 't' || text[i] == ' '
                                      : text[i] == shape[i];
        if (!fits)
            return false;
    }
    return true;
}

bool clock_parse(const char *text, int64_t *ret_unix_ms)
{
    struct tm utc = {0};
    if (!has_date_shape(text) || sscanf(text, "%4d-%2d-%2d%*c%2d:%2d:%2d", &utc.tm_year, &utc.tm_mon,
                                        &utc.tm_mday, &utc.tm_hour, &utc.tm_min, &utc.tm_sec) != 6)
        return false;
    if (utc.tm_year < 1970 || utc.tm_mon < 1 || utc.tm_mon > 12 || utc.tm_mday < 1 || utc.tm_mday > 31 ||
        utc.tm_hour > 23 || utc.tm_min > 59 || utc.tm_sec > 60)
        return false;
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    int day = utc.tm_mday;
    const char *rest = text + strlen("dddd-dd-ddTdd:dd:dd");
    int ms = *rest == '.' ? parse_fraction(&rest) : 0;
    int offset_minutes;
    if (!parse_offset(rest, &offset_minutes))
        return false;
    int64_t seconds = timegm(&utc);
    if (utc.tm_mday != day && utc.tm_sec < 60)
        return false; /* 30 February: timegm moved it into March */
    *ret_unix_ms = (seconds - (int64_t)offset_minutes * 60) * 1000 + ms;
    return true;
}
