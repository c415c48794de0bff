/* The command line of e2b-local. */
#include "options.h"

#include "base/digest.h"
#include "service.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CPU_PERCENT = 200, DEFAULT_MEMORY_MB = 1024 };

static const char help[] =
    "usage: e2b-local [options]\n"
    "\n"
    "A local service that speaks E2B's protocol, for development and tests. It runs code as local "
    "processes:\n"
    "it is no security boundary for hostile code, and it listens on a loopback address.\n"
    "\n"
    "  --listen HOST:PORT     127.0.0.1:3010; port 0 picks a free one\n"
    "  --port-file FILE       write the port there once it listens\n"
    "  --journal FILE         write what becomes of every create and every sandbox there, a JSON line each\n"
    "  --dir DIR              where sandboxes keep their files (a temporary folder)\n"
    "  --python PROGRAM       for code contexts (/usr/bin/python3)\n"
    "  --node PROGRAM         for JavaScript contexts (node)\n"
    "  --template NAME[:CPUS:MEMORY_MB]   a further template, or other sizes for a known one; repeatable.\n"
    "                         known: base, code-interpreter-v1 (2 CPUs, 1024 MB); CPUS may be 0.5\n"
    "  --max-sandboxes N      at once; further creates answer 429 (1000)\n"
    "  --api-key KEY          accept this key only (any key e2b_...)\n"
    "  --isolation MODE       auto | bubblewrap | none (auto)\n"
    "  --log-level LEVEL      debug | info | warn | error | none (info)\n"
    "  --help, --version\n"
    "\n"
    "Use it: E2B_API_URL=E2B_SANDBOX_URL=http://127.0.0.1:3010 and any E2B_API_KEY=e2b_<hex>.\n"
    "\n"
    "For tests, without a key:\n"
    "  GET /__stats, POST /__stats/reset\n"
    "  POST /__faults sets what its JSON names, GET shows, DELETE clears:\n"
    "    create_fail      "
    "{\"count\":n,\"status\":s,\"message\":..,\"error_code\":..,\"headers\":{..},\"body\":\"raw\"}\n"
    "                     or {\"count\":n,\"kind\":\"concurrency\"}, "
    "{\"count\":n,\"kind\":\"rate\",\"retry_after\":s}\n"
    "    create_silent    {\"count\":n,\"after_ms\":ms}   makes the sandbox, answers nothing, closes after "
    "ms\n"
    "    create_delay_ms, execute_delay_ms, keep_delay_ms, kill_delay_ms   ms\n"
    "    kill_fail        {\"count\":n,\"status\":s}\n"
    "    cut_stream       {\"count\":n,\"after_bytes\":b,\"plane\":\"interpreter\"|\"process\"|\"any\"}\n"
    "    lose, expire     \"<sandbox id>\" | \"any\"   ends it now\n"
    "    idempotency      \"honour\" | \"ignore\"\n"
    "    v2               false: POST /v2/sandboxes answers 405\n"
    "    reject_all       true: the control plane answers 401\n";

/* ---- templates ---- */

static void make_template_id(const char *name, char id[21])
{
    char hex[DIGEST_HEX_SIZE];
    digest_sha256_hex((struct bytes){name, strlen(name)}, hex);
    memcpy(id, hex, 20);
    id[20] = '\0';
}

static void set_template(struct options *options, const char *name, size_t length, int cpu_percent,
                         int memory_mb)
{
    struct template **place = &options->templates;
    while (*place && (strlen((*place)->name) != length || memcmp((*place)->name, name, length) != 0))
        place = &(*place)->next;
    if (!*place) {
        *place = base_alloc(sizeof **place);
        (*place)->name = base_strndup(name, length);
        make_template_id((*place)->name, (*place)->id);
    }
    (*place)->cpu_percent = cpu_percent;
    (*place)->memory_mb = memory_mb;
}

static bool parse_template(struct options *options, const char *text)
{
    size_t length = strcspn(text, ":");
    double cpus = DEFAULT_CPU_PERCENT / 100.0;
    int memory_mb = DEFAULT_MEMORY_MB, end = 0;
    if (length == 0)
        return false;
    if (text[length] &&
        (sscanf(text + length, ":%lf:%d%n", &cpus, &memory_mb, &end) != 2 || text[length + (size_t)end]))
        return false;
    if (cpus < 0.01 || cpus > 64 || memory_mb < 16 || memory_mb > 1 << 20)
        return false;
    set_template(options, text, length, (int)(cpus * 100 + 0.5), memory_mb);
    return true;
}

/* ---- options ---- */

enum option_code {
    LISTEN = 1000,
    PORT_FILE,
    JOURNAL,
    DIRECTORY,
    PYTHON,
    NODE,
    TEMPLATE,
    MAX_SANDBOXES,
    API_KEY,
    ISOLATION,
    LOG_LEVEL,
    HELP,
    VERSION
};

static const struct option known[] = {{"listen", required_argument, NULL, LISTEN},
                                      {"port-file", required_argument, NULL, PORT_FILE},
                                      {"journal", required_argument, NULL, JOURNAL},
                                      {"dir", required_argument, NULL, DIRECTORY},
                                      {"python", required_argument, NULL, PYTHON},
                                      {"node", required_argument, NULL, NODE},
                                      {"template", required_argument, NULL, TEMPLATE},
                                      {"api-key", required_argument, NULL, API_KEY},
                                      {"max-sandboxes", required_argument, NULL, MAX_SANDBOXES},
                                      {"isolation", required_argument, NULL, ISOLATION},
                                      {"log-level", required_argument, NULL, LOG_LEVEL},
                                      {"help", no_argument, NULL, HELP},
                                      {"version", no_argument, NULL, VERSION},
                                      {NULL, 0, NULL, 0}};

static bool parse_isolation(const char *text, enum isolation *ret)
{
    static const char *const names[] = {
        [ISOLATION_AUTO] = "auto", [ISOLATION_BUBBLEWRAP] = "bubblewrap", [ISOLATION_NONE] = "none"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (strcmp(names[i], text) != 0)
            continue;
        *ret = (enum isolation)i;
        return true;
    }
    return false;
}

static bool parse_count(const char *text, int *ret)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end || number < 1 || number > 100000)
        return false;
    *ret = (int)number;
    return true;
}

static bool is_loopback(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]:", 6) == 0;
}

static bool set_option(struct options *options, int option, const char *value)
{
    switch ((enum option_code)option) {
    case LISTEN:
        options->listen = value;
        return is_loopback(value);
    case PORT_FILE:
        options->port_file = value;
        return true;
    case JOURNAL:
        options->journal = value;
        return true;
    case DIRECTORY:
        options->directory = value;
        return true;
    case PYTHON:
        options->python = value;
        return true;
    case NODE:
        options->node = value;
        return true;
    case TEMPLATE:
        return parse_template(options, value);
    case MAX_SANDBOXES:
        return parse_count(value, &options->max_sandboxes);
    case API_KEY:
        options->api_key = value;
        return true;
    case ISOLATION:
        return parse_isolation(value, &options->isolation);
    case LOG_LEVEL:
        return log_level_parse(value, &options->log_level);
    case HELP:
    case VERSION:
        return true;
    }
    return false;
}

enum options_result options_parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){.listen = "127.0.0.1:3010",
                                .python = "/usr/bin/python3",
                                .node = "node",
                                .max_sandboxes = 1000,
                                .log_level = LOG_LEVEL_INFO};
    set_template(options, "base", 4, DEFAULT_CPU_PERCENT, DEFAULT_MEMORY_MB);
    set_template(options, "code-interpreter-v1", 19, DEFAULT_CPU_PERCENT, DEFAULT_MEMORY_MB);
    for (int option, index = 0; (option = getopt_long(argc, argv, "", known, &index)) != -1;) {
        if (option == HELP) {
            (void)fputs(help, stdout);
            return OPTIONS_SHOWN;
        }
        if (option == VERSION) {
            (void)puts("e2b-local " E2BW_VERSION);
            return OPTIONS_SHOWN;
        }
        if (option == '?' || !set_option(options, option, optarg)) {
            if (option != '?')
                (void)fprintf(stderr, "e2b-local: --%s does not take \"%s\"; see --help\n", known[index].name,
                              optarg);
            return OPTIONS_WRONG;
        }
    }
    if (optind == argc)
        return OPTIONS_RUN;
    (void)fprintf(stderr, "e2b-local: what is \"%s\"? see --help\n", argv[optind]);
    return OPTIONS_WRONG;
}

void options_release(struct options *options)
{
    while (options->templates) {
        struct template *template = options->templates;
        options->templates = template->next;
        free(template->name);
        free(template);
    }
}
