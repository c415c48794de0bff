/* The floor of a job's HTTP part: create a sandbox, run code in it, kill it, JOBS times, CONCURRENCY at a
 * time. Prints one JSON line; exit code 1 when an answer was wrong. floor_http --help tells the words.
 *
 * libcurl's multi interface on one epoll loop, without anything that a request could do without: one easy
 * handle per slot, headers that are written once, no timer per request, only as much of an answer kept as is
 * looked at, and no system call to stop and start watching a connection between two requests. */
#include "usage.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    ANSWER_BYTES = 1024, /* the end of an answer; an answer to create is shorter */
    URL_BYTES = 512,
    LINE_BYTES = 512,
    CODE_BYTES = 512,
    STALL_MS = 60000, /* so long after a run's own time nothing is heard: the server is gone */
    ERRORS_SHOWN = 5,
    STREAMS_MOST =
        1000, /* of an HTTP/2 connection: the server's own bound counts, not curl's, which is 100 */
};
#define NEVER INT64_MAX

enum step { STEP_CREATE, STEP_EXECUTE, STEP_KILL };

/* A descriptor that curl uses. Of a connection without a request nothing is wanted, but it stays watched: its
 * next request comes soon. */
struct watch {
    struct plane *plane;
    uint32_t wanted, watched;
    bool is_connection;
};

/* One host, one pool of connections. */
struct plane {
    struct bench *bench;
    CURLM *multi;
    int64_t due_ms; /* when curl wants to be called; 0: at once */
};

struct slot {
    struct bench *bench;
    CURL *easy;
    enum step step;
    size_t length; /* of the answer */
    char answer[ANSWER_BYTES];
    char id[64];
    double began_ms;            /* when its create was asked for */
    struct curl_slist lines[2]; /* the sandbox's own, before execute_lines */
    char id_line[128], token_line[LINE_BYTES];
};

/* What the environment says. */
struct settings {
    long run_ms, api_connections, buffer_bytes, pipe_wait;
    long rate;    /* jobs begun a second; 0: as fast as they go */
    long version; /* CURL_HTTP_VERSION_NONE: curl's own choice */
};

struct bench {
    struct settings settings;
    struct plane api, sandboxes;
    int epoll;
    struct watch *watches; /* by descriptor */
    size_t watch_count;
    CURLSH *share;
    const char *ca_file;
    char create_url[URL_BYTES], execute_url[URL_BYTES];
    char create_body[CODE_BYTES], execute_body[CODE_BYTES];
    struct curl_slist *create_lines, *execute_lines, *kill_lines;
    struct slot *slots;
    struct slot **waiting; /* slots whose next job is not due yet */
    long waiting_count;
    double first_ms;  /* when the first job was begun */
    double *added_ms; /* of each job: until its run had ended, less the run */
    long jobs, concurrency, begun, active, errors, connections, run_count;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- What curl wants watched ---- */

static struct watch *watch_of(struct bench *bench, int fd)
{
    size_t index = (size_t)fd;
    if (index >= bench->watch_count) {
        size_t count = 2 * index + 64;
        bench->watches = realloc(bench->watches, count * sizeof *bench->watches);
        if (!bench->watches)
            die("floor_http");
        memset(bench->watches + bench->watch_count, 0, (count - bench->watch_count) * sizeof *bench->watches);
        bench->watch_count = count;
    }
    return &bench->watches[index];
}

static void watch_set(struct bench *bench, int fd, uint32_t events)
{
    struct watch *watch = watch_of(bench, fd);
    if (watch->watched == events)
        return;
    int change = events == 0 ? EPOLL_CTL_DEL : watch->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    struct epoll_event event = {.events = events, .data.fd = fd};
    watch->watched = events;
    if (epoll_ctl(bench->epoll, change, fd, &event) < 0 && change != EPOLL_CTL_DEL)
        die("floor_http: epoll_ctl");
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct plane *plane = arg;
    struct watch *watch = watch_of(plane->bench, fd);
    (void)easy;
    (void)known;
    watch->plane = plane;
    watch->wanted = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? EPOLLIN : 0u) |
                    (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? EPOLLOUT : 0u);
    if (watch->wanted != 0 || !watch->is_connection)
        watch_set(plane->bench, fd, watch->wanted);
    return 0;
}

/* epoll forgets a closed descriptor by itself, and the next one may have its number. */
static int on_curl_opened(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)purpose;
    *watch_of(arg, fd) = (struct watch){.is_connection = true};
    return CURL_SOCKOPT_OK;
}

static int on_curl_close(void *arg, curl_socket_t fd)
{
    *watch_of(arg, fd) = (struct watch){0};
    return close(fd);
}

static int64_t now_ms(void)
{
    return (int64_t)usage_exact_ms();
}

static int on_curl_timer(CURLM *multi, long delay_ms, void *arg)
{
    struct plane *plane = arg;
    (void)multi;
    plane->due_ms = delay_ms < 0 ? NEVER : delay_ms == 0 ? 0 : now_ms() + delay_ms;
    return 0;
}

/* ---- Requests ---- */

/* Keeps the end of the answer. */
static size_t on_answer(char *data, size_t size, size_t count, void *arg)
{
    struct slot *slot = arg;
    size_t length = size * count, room = sizeof slot->answer - 1;
    size_t take = length < room ? length : room;
    size_t keep = slot->length + take <= room ? slot->length : room - take;
    if (keep < slot->length)
        memmove(slot->answer, slot->answer + slot->length - keep, keep);
    memcpy(slot->answer + keep, data + length - take, take);
    slot->length = keep + take;
    return length;
}

static void post(CURL *easy, const char *url, const char *body, struct curl_slist *lines)
{
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, lines);
}

static void send_step(struct slot *slot, enum step step)
{
    struct bench *bench = slot->bench;
    char url[URL_BYTES + sizeof slot->id];
    slot->step = step;
    slot->length = 0;
    switch (step) {
    case STEP_CREATE:
        post(slot->easy, bench->create_url, bench->create_body, bench->create_lines);
        break;
    case STEP_EXECUTE:
        post(slot->easy, bench->execute_url, bench->execute_body, slot->lines);
        break;
    case STEP_KILL:
        (void)snprintf(url, sizeof url, "%s/%s", bench->create_url, slot->id);
        curl_easy_setopt(slot->easy, CURLOPT_URL, url);
        curl_easy_setopt(slot->easy, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(slot->easy, CURLOPT_CUSTOMREQUEST, "DELETE");
        curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, bench->kill_lines);
        break;
    }
    struct plane *plane = step == STEP_EXECUTE ? &bench->sandboxes : &bench->api;
    if (curl_multi_add_handle(plane->multi, slot->easy) != CURLM_OK)
        die("floor_http: curl_multi_add_handle");
}

/* When the next job is to begin. */
static double next_ms(const struct bench *bench)
{
    return bench->settings.rate > 0
               ? bench->first_ms + (double)bench->begun * 1000 / (double)bench->settings.rate
               : 0;
}

static void begin(struct slot *slot)
{
    struct bench *bench = slot->bench;
    if (bench->begun == bench->jobs) {
        bench->active--;
        return;
    }
    slot->began_ms = usage_exact_ms();
    if (slot->began_ms < next_ms(bench)) {
        bench->waiting[bench->waiting_count++] = slot;
        return;
    }
    bench->begun++;
    send_step(slot, STEP_CREATE);
}

/* Slots that wait for the time of their next job, and whose time has come. */
static void begin_due(struct bench *bench)
{
    while (bench->waiting_count > 0 && (bench->begun == bench->jobs || usage_exact_ms() >= next_ms(bench)))
        begin(bench->waiting[--bench->waiting_count]);
}

/* ---- Answers ---- */

/* A member of the answer's JSON object whose value is a text without escapes. */
static bool find_text(const char *answer, const char *quoted_name, char *ret, size_t size)
{
    const char *at = strstr(answer, quoted_name);
    if (!at)
        return false;
    at += strlen(quoted_name);
    at += strspn(at, " :");
    if (*at++ != '"')
        return false;
    size_t length = strcspn(at, "\"\\");
    if (length == 0 || length >= size || at[length] != '"')
        return false;
    memcpy(ret, at, length);
    ret[length] = '\0';
    return true;
}

static bool learn_sandbox(struct slot *slot)
{
    char token[LINE_BYTES - sizeof "X-Access-Token: "];
    if (!find_text(slot->answer, "\"sandboxID\"", slot->id, sizeof slot->id) ||
        !find_text(slot->answer, "\"envdAccessToken\"", token, sizeof token))
        return false;
    (void)snprintf(slot->id_line, sizeof slot->id_line, "E2b-Sandbox-Id: %s", slot->id);
    (void)snprintf(slot->token_line, sizeof slot->token_line, "X-Access-Token: %s", token);
    return true;
}

static bool is_right(struct slot *slot, long status)
{
    switch (slot->step) {
    case STEP_CREATE:
        return status == 201 && learn_sandbox(slot);
    case STEP_EXECUTE:
        return status == 200 && strstr(slot->answer, "end_of_execution");
    case STEP_KILL:
        return status == 204;
    }
    return false;
}

static void complain(const struct slot *slot, CURLcode result, long status)
{
    static const char *const names[] = {"create", "execute", "kill"};
    if (slot->bench->errors > ERRORS_SHOWN)
        return;
    if (result != CURLE_OK)
        fprintf(stderr, "floor_http: %s: %s\n", names[slot->step], curl_easy_strerror(result));
    else
        fprintf(stderr, "floor_http: %s: status %ld: %.200s\n", names[slot->step], status, slot->answer);
}

static void answered(struct slot *slot, CURLcode result)
{
    struct bench *bench = slot->bench;
    long status = 0, connects = 0;
    curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(slot->easy, CURLINFO_NUM_CONNECTS, &connects);
    bench->connections += connects;
    slot->answer[slot->length] = '\0';
    bool is_good = result == CURLE_OK && is_right(slot, status);
    if (!is_good) {
        bench->errors++;
        complain(slot, result, status);
    }
    if (slot->step == STEP_EXECUTE)
        bench->added_ms[bench->run_count++] =
            usage_exact_ms() - slot->began_ms - (double)bench->settings.run_ms;
    if (slot->step == STEP_EXECUTE)
        send_step(slot, STEP_KILL); /* after a bad answer too: the sandbox is there */
    else if (slot->step == STEP_CREATE && is_good)
        send_step(slot, STEP_EXECUTE);
    else
        begin(slot);
}

static void reap(struct plane *plane)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(plane->multi, &left))) {
        struct slot *slot = NULL;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        curl_multi_remove_handle(plane->multi, message->easy_handle);
        answered(slot, result);
    }
}

/* ---- The loop ---- */

static void on_event(struct bench *bench, const struct epoll_event *event)
{
    int fd = event->data.fd, running;
    const struct watch *watch = watch_of(bench, fd);
    if (watch->wanted == 0) {
        watch_set(bench, fd,
                  0); /* an idle connection that the server closes: curl finds out when it takes it */
        return;
    }
    int seen = (event->events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
               (event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (event->events & EPOLLERR ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(watch->plane->multi, fd, seen, &running);
}

static void expire(struct plane *plane, int64_t time_ms)
{
    int running;
    if (plane->due_ms > time_ms)
        return;
    plane->due_ms = NEVER; /* curl says the next */
    curl_multi_socket_action(plane->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

/* Answers lead to new requests, which curl sends when it is called at once: nothing is left of that when we
 * wait. */
static void settle(struct bench *bench)
{
    do {
        int64_t time_ms = now_ms();
        expire(&bench->api, time_ms);
        expire(&bench->sandboxes, time_ms);
        reap(&bench->api);
        reap(&bench->sandboxes);
    } while (bench->api.due_ms == 0 || bench->sandboxes.due_ms == 0);
}

static bool run(struct bench *bench)
{
    struct epoll_event events[EVENTS];
    int64_t stall_ms = STALL_MS + bench->settings.run_ms, heard_ms = now_ms();
    for (settle(bench); bench->active > 0; settle(bench)) {
        int64_t wake_ms = heard_ms + stall_ms, time_ms = now_ms();
        if (time_ms >= wake_ms)
            return false;
        wake_ms = bench->api.due_ms < wake_ms ? bench->api.due_ms : wake_ms;
        wake_ms = bench->sandboxes.due_ms < wake_ms ? bench->sandboxes.due_ms : wake_ms;
        if (bench->waiting_count > 0 && next_ms(bench) < (double)wake_ms)
            wake_ms = (int64_t)next_ms(bench);
        int count =
            epoll_wait(bench->epoll, events, EVENTS, wake_ms > time_ms ? (int)(wake_ms - time_ms) : 0);
        for (int i = 0; i < count; i++)
            on_event(bench, &events[i]);
        begin_due(bench);
        if (count > 0)
            heard_ms = now_ms();
    }
    return true;
}

/* ---- Beginning and end ---- */

/* HTTP/2 without TLS is no word: curl 7.88 breaks such a connection when it uses it again (its bug 10634). */
static bool read_settings(struct settings *settings, bool is_https)
{
    const char *version = getenv("HTTP_VERSION");
    settings->version = CURL_HTTP_VERSION_NONE;
    if (version && !strcmp(version, "1.1"))
        settings->version = CURL_HTTP_VERSION_1_1;
    else if (version && !strcmp(version, "2") && is_https)
        settings->version = CURL_HTTP_VERSION_2TLS;
    else if (version && *version)
        return false;
    return usage_number_of("RUN_MS", 0, 3600000, &settings->run_ms) &&
           usage_number_of("API_CONNECTIONS", 1, 1000000, &settings->api_connections) &&
           usage_number_of("BUFFER_BYTES", 1024, 1 << 19, &settings->buffer_bytes) &&
           usage_number_of("PIPEWAIT", 0, 1, &settings->pipe_wait) &&
           usage_number_of("RATE", 1, 1000000, &settings->rate);
}

static bool read_words(struct bench *bench, int argc, char **argv)
{
    if (argc < 5 || argc > 6 || strlen(argv[1]) > URL_BYTES / 2 || strlen(argv[2]) > URL_BYTES / 2)
        return false;
    bench->ca_file = argc == 6 ? argv[5] : NULL;
    (void)snprintf(bench->create_url, URL_BYTES, "%s/sandboxes", argv[1]);
    (void)snprintf(bench->execute_url, URL_BYTES, "%s/execute", argv[2]);
    return usage_number(argv[3], 1, 1000000000, &bench->jobs) &&
           usage_number(argv[4], 1, 1000000, &bench->concurrency) &&
           read_settings(&bench->settings, !strncmp(argv[1], "https:", 6));
}

/* The same job as e2b_jobs has. */
static void write_requests(struct bench *bench)
{
    static const char json[] = "Content-Type: application/json", key[] = "X-API-KEY: e2b_bench";
    (void)snprintf(bench->create_body, CODE_BYTES,
                   "{\"templateID\":\"code-interpreter-v1\",\"timeout\":%ld,\"autoPause\":false,"
                   "\"metadata\":{\"job_id\":\"00000000-000000\"},\"secure\":true}",
                   90 + bench->settings.run_ms / 1000);
    (void)snprintf(bench->execute_body, CODE_BYTES,
                   "{\"code\":\"# bench run_ms=%ld\\nprint('job 1')\\n"
                   "x = 1\\nx = 1\\nx = 1\\nx = 1\\nx = 1\\nx = 1\\n\"}",
                   bench->settings.run_ms);
    bench->create_lines = curl_slist_append(curl_slist_append(NULL, json), key);
    bench->execute_lines = curl_slist_append(curl_slist_append(NULL, json), "E2b-Sandbox-Port: 49999");
    bench->kill_lines = curl_slist_append(NULL, key);
}

static void plane_open(struct bench *bench, struct plane *plane, long most_connections)
{
    *plane = (struct plane){.bench = bench, .multi = curl_multi_init(), .due_ms = NEVER};
    curl_multi_setopt(plane->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(plane->multi, CURLMOPT_SOCKETDATA, plane);
    curl_multi_setopt(plane->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(plane->multi, CURLMOPT_TIMERDATA, plane);
    curl_multi_setopt(plane->multi, CURLMOPT_MAXCONNECTS,
                      bench->concurrency); /* none is closed to make room */
    curl_multi_setopt(plane->multi, CURLMOPT_MAX_HOST_CONNECTIONS, most_connections);
    curl_multi_setopt(plane->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)STREAMS_MOST);
}

static void slot_open(struct bench *bench, struct slot *slot)
{
    const struct settings *settings = &bench->settings;
    CURL *easy = curl_easy_init();
    slot->bench = bench;
    slot->easy = easy;
    slot->lines[0] = (struct curl_slist){.data = slot->id_line, .next = &slot->lines[1]};
    slot->lines[1] = (struct curl_slist){.data = slot->token_line, .next = bench->execute_lines};
    curl_easy_setopt(easy, CURLOPT_PRIVATE, slot);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); /* else curl sets SIGPIPE's handler around each call */
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* else curl looks through the environment for each request */
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_curl_opened);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, bench);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_curl_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, bench);
    curl_easy_setopt(easy, CURLOPT_SHARE, bench->share);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, settings->version);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, settings->pipe_wait);
    if (settings->buffer_bytes > 0)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, settings->buffer_bytes);
    if (bench->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, bench->ca_file);
}

/* Two connections a slot at most, and soft limits are often 1024. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void open_bench(struct bench *bench)
{
    bench->epoll = epoll_create1(EPOLL_CLOEXEC);
    bench->share = curl_share_init();
    bench->slots = calloc((size_t)bench->concurrency, sizeof *bench->slots);
    bench->waiting = calloc((size_t)bench->concurrency, sizeof(struct slot *));
    bench->added_ms = calloc((size_t)bench->jobs, sizeof *bench->added_ms);
    if (bench->epoll < 0 || !bench->share || !bench->slots || !bench->waiting || !bench->added_ms)
        die("floor_http");
    curl_share_setopt(bench->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    write_requests(bench);
    plane_open(bench, &bench->api, bench->settings.api_connections);
    plane_open(bench, &bench->sandboxes, /* most_connections= */ 0);
    for (long i = 0; i < bench->concurrency; i++)
        slot_open(bench, &bench->slots[i]);
}

static void close_bench(struct bench *bench)
{
    for (long i = 0; i < bench->concurrency; i++)
        curl_easy_cleanup(bench->slots[i].easy);
    curl_multi_cleanup(bench->api.multi);
    curl_multi_cleanup(bench->sandboxes.multi);
    curl_share_cleanup(bench->share);
    curl_slist_free_all(bench->create_lines);
    curl_slist_free_all(bench->execute_lines);
    curl_slist_free_all(bench->kill_lines);
    free(bench->slots);
    free(bench->waiting);
    free(bench->added_ms);
    free(bench->watches);
    close(bench->epoll);
    curl_global_cleanup();
}

static void print(const struct bench *bench, const struct usage *used, long idle_kib)
{
    double jobs = (double)bench->jobs;
    long peak_kib = usage_memory_kib("VmHWM:");
    printf("{\"name\":\"floor_http\",\"jobs\":%ld,\"concurrency\":%ld,\"errors\":%ld,\"wall_s\":%.3f,"
           "\"jobs_per_s\":%.0f,\"user_us_per_job\":%.1f,\"system_us_per_job\":%.1f,\"cpu_us_per_job\":%.1f,"
           "\"rss_idle_kib\":%ld,\"rss_peak_kib\":%ld,\"kib_per_slot\":%.1f,\"connections\":%ld,"
           "\"added_p50_ms\":%.3f,\"added_p90_ms\":%.3f,\"added_p99_ms\":%.3f}\n",
           bench->jobs, bench->concurrency, bench->errors, used->wall_s, jobs / used->wall_s,
           used->user_s / jobs * 1e6, used->system_s / jobs * 1e6,
           (used->user_s + used->system_s) / jobs * 1e6, idle_kib, peak_kib,
           (double)(peak_kib - idle_kib) / (double)bench->concurrency, bench->connections,
           usage_at(bench->added_ms, bench->run_count, 0.5), usage_at(bench->added_ms, bench->run_count, 0.9),
           usage_at(bench->added_ms, bench->run_count, 0.99));
}

static int explain(void)
{
    fprintf(stderr, "usage: floor_http API_URL SANDBOX_URL JOBS CONCURRENCY [CA_FILE]\n"
                    "Creates, runs and kills JOBS sandboxes, CONCURRENCY at a time. Prints one JSON line.\n"
                    "environment:\n"
                    "  RUN_MS=0            how long the load-test server is asked to run the code\n"
                    "  API_CONNECTIONS=N   connections for create and kill, at most\n"
                    "  BUFFER_BYTES=N      curl's buffer for an answer\n"
                    "  HTTP_VERSION=1.1|2  2 for https only; without it curl chooses\n"
                    "  PIPEWAIT=1          waits for an HTTP/2 connection to share\n"
                    "  RATE=N              jobs begun a second, at most\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    if (!read_words(&bench, argc, argv))
        return explain();
    (void)signal(SIGPIPE, SIG_IGN);
    allow_descriptors();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        die("floor_http: curl_global_init");
    long idle_kib = usage_memory_kib("VmRSS:");
    open_bench(&bench);
    struct usage start = usage_now();
    bench.active = bench.concurrency;
    bench.first_ms = usage_exact_ms();
    for (long i = 0; i < bench.concurrency; i++)
        begin(&bench.slots[i]);
    if (!run(&bench)) {
        long left = bench.jobs - bench.begun + bench.active;
        fprintf(stderr, "floor_http: nothing was heard for too long; %ld jobs have not ended\n", left);
        bench.errors += left;
    }
    struct usage used = usage_since(&start);
    qsort(bench.added_ms, (size_t)bench.run_count, sizeof *bench.added_ms, usage_by_size);
    print(&bench, &used, idle_kib);
    close_bench(&bench);
    return bench.errors ? 1 : 0;
}
