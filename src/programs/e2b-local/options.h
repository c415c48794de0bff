#ifndef E2B_LOCAL_OPTIONS_H
#define E2B_LOCAL_OPTIONS_H
#include "base/base.h"
#include "base/log.h"
#include "cell.h"

/* The command line. Exit codes: 0 done, 2 wrong use, 1 could not start. */

struct template;

struct options {
    const char *listen, *port_file, *journal, *directory, *python, *node, *api_key;
    enum isolation isolation;
    enum log_level log_level;
    int max_sandboxes;
    struct template *templates; /* owned; at least the two that every account has */
};

enum options_result { OPTIONS_RUN, OPTIONS_SHOWN, OPTIONS_WRONG };

/* Texts are borrowed from argv. Prints help, or what is wrong. */
enum options_result options_parse(struct options *options, int argc, char **argv);
void options_release(struct options *options);

#endif
