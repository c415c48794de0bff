/* doctor's look at E2B: the key, what runs in the account, and one hello if asked for. */
#include "doctor.h"

#include "e2b/e2b.h"
#include "loop/on_uv.h"

#include <string.h>

/* The sandbox ends by itself soon, should doctor be killed. */
enum { LIVE_MS = 60000, CREATE_MS = 45000, RUN_MS = 30000 };

struct e2b_look {
    struct loop *loop;
    const struct config *config;
    struct report *report;
    struct e2b_client *client;
    struct e2b_call call; /* one after the other */
    struct e2b_sandbox *sandbox;
    const struct template_entry *entry;
    bool is_run, said_hello;
    int64_t since_ms, create_ms, run_ms;
};

static void on_closed(void *arg)
{
    struct e2b_look *look = arg;
    loop_stop(look->loop);
}

static void finish(struct e2b_look *look)
{
    e2b_sandbox_free(look->sandbox);
    look->sandbox = NULL;
    e2b_client_close(look->client, on_closed, look);
}

static int64_t lap_ms(struct e2b_look *look)
{
    int64_t now_ms = loop_boot_ms(look->loop), lap = now_ms - look->since_ms;
    look->since_ms = now_ms;
    return lap;
}

static const char *advice(const struct config *config, const struct e2b_error *error)
{
    if (error->kind == E2B_ERROR_AUTH)
        return "E2B_AUTH: set E2B_API_KEY to a key of the account";
    if (error->kind == E2B_ERROR_BROKEN || error->kind == E2B_ERROR_TIMEOUT)
        return config->mode == MODE_SIMULATION ? "start e2b-local, or set E2B_API_KEY"
                                               : "check the network, E2B_DOMAIN and E2B_API_URL";
    if (error->kind == E2B_ERROR_NOT_FOUND)
        return "the account has no such template: set templates.default.template_id";
    if (error->kind == E2B_ERROR_QUOTA || error->kind == E2B_ERROR_RATE_LIMITED)
        return "the account's limit is reached: wait, or end sandboxes";
    return "try again later";
}

static void fail(struct e2b_look *look, const char *what, const struct e2b_error *error)
{
    report_add(look->report, "e2b", FINDING_FAIL, "%s: %s: %s; %s", config_e2b_place(look->config), what,
               error->message, advice(look->config, error));
}

/* ---- one hello ---- */

static void on_killed(struct e2b_call *call, const struct e2b_error *error)
{
    struct e2b_look *look = call->arg;
    int64_t kill_ms = lap_ms(look);
    if (error)
        fail(look, "kill (the sandbox ends by itself within a minute)", error);
    else if (look->said_hello)
        report_add(look->report, "run", FINDING_OK,
                   "hello from template %s (%s): create %lld ms, run %lld ms, kill %lld ms",
                   look->entry->name, look->entry->template_id, (long long)look->create_ms,
                   (long long)look->run_ms, (long long)kill_ms);
    finish(look);
}

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    struct e2b_look *look = call->arg;
    if (output->kind == E2B_OUTPUT_STDOUT && memmem(output->bytes.data, output->bytes.length, "hello", 5))
        look->said_hello = true;
}

static void on_run(struct e2b_call *call, const struct e2b_error *error,
                   const struct e2b_exception *exception)
{
    struct e2b_look *look = call->arg;
    look->run_ms = lap_ms(look);
    if (error)
        fail(look, "run", error);
    else if (exception)
        report_add(look->report, "run", FINDING_FAIL, "hello failed: %s: %s", exception->name,
                   exception->value);
    else if (!look->said_hello)
        report_add(look->report, "run", FINDING_FAIL, "the interpreter said nothing where it should greet");
    call->timeout_ms = 0;
    e2b_sandbox_kill(look->client, call, e2b_sandbox_id(look->sandbox), on_killed);
}

static void on_created(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    static const struct e2b_code hello = {.text = "print('hello')"};
    struct e2b_look *look = call->arg;
    look->create_ms = lap_ms(look);
    if (error) {
        fail(look, "create", error);
        finish(look);
        return;
    }
    look->sandbox = sandbox;
    call->timeout_ms = RUN_MS;
    e2b_code_run(sandbox, call, &hello, on_output, on_run);
}

/* Without a permit, so the ledger counts it as foreign; therefore only where there is room. */
static void say_hello(struct e2b_look *look, int64_t running)
{
    static const struct e2b_pair metadata[] = {{"svc", "e2b-worker-doctor"}};
    look->entry = catalog_find(&look->config->catalog, "default");
    if (!look->entry || running >= look->config->limit_global) {
        report_add(look->report, "run", FINDING_WARN, "%s",
                   look->entry ? "not run: limits.global is reached; try again when a sandbox has ended"
                               : "not run: the catalogue has no template named default");
        finish(look);
        return;
    }
    const struct e2b_sandbox_options options = {.template_id = look->entry->template_id,
                                                .live_ms = LIVE_MS,
                                                .metadata = {metadata, ARRAY_LENGTH(metadata)}};
    (void)lap_ms(look);
    look->call.timeout_ms = CREATE_MS;
    e2b_sandbox_create(look->client, &look->call, &options, on_created);
}

/* ---- the account ---- */

static void on_page(struct e2b_call *call, const struct e2b_error *error, const struct e2b_sandbox_page *page)
{
    struct e2b_look *look = call->arg;
    int64_t list_ms = lap_ms(look), limit = look->config->limit_global;
    if (error) {
        fail(look, "list", error);
        finish(look);
        return;
    }
    bool is_least = page->total_running < 0 && page->next; /* the first page says "at least" */
    int64_t running = page->total_running >= 0 ? page->total_running : (int64_t)page->count;
    report_add(
        look->report, "e2b", running >= limit ? FINDING_WARN : FINDING_OK,
        "%s answers in %lld ms and takes the key; %s%lld sandboxes run in the account, limits.global is "
        "%lld%s",
        config_e2b_place(look->config), (long long)list_ms, is_least ? "at least " : "", (long long)running,
        (long long)limit,
        running >= limit ? ": workers wait until some have ended; those of others count as well" : "");
    if (look->is_run)
        say_hello(look, running);
    else
        finish(look);
}

void check_e2b(const struct config *config, bool is_run, struct report *report)
{
    struct e2b_look look = {.loop = loop_new(), .config = config, .report = report, .is_run = is_run};
    const struct e2b_client_options options = {.api_key = config->e2b_api_key,
                                               .domain = config->e2b_domain,
                                               .api_url = config->e2b_api_url,
                                               .sandbox_url = config->e2b_sandbox_url,
                                               .user_agent = "e2b-worker/" E2BW_VERSION,
                                               .ca_file = config->e2b_ca_file};
    const struct e2b_sandbox_filter all = {.limit = 100};
    look.call.arg = &look;
    look.client = e2b_client_new(loop_uv(look.loop), &options);
    (void)lap_ms(&look);
    e2b_sandbox_list(look.client, &look.call, &all, on_page);
    loop_run(look.loop);
    loop_free(look.loop, NULL, NULL);
}
