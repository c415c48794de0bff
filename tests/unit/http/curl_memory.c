/* What libcurl is given. */
#include "http/curl_memory.h"

#include "base/base.h"

#include "test.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 40, LARGE = 64 << 10, PAGE = 4096 };

/* What was freed is to be had again at once: the sanitizer would keep it. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=0:thread_local_quarantine_size_kb=0";
}

static void a_block_is_zero_whatever_was_in_it(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 4096, 16383, 16384, 16385, 16424, 20000, 65577, 300000};
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
        for (size_t count = 1; count <= 3; count++) {
            char *before = malloc(count * sizes[i]);
            assert_non_null(before);
            memset(before, 'x', count * sizes[i]);
            free(before);
            char *block = curl_memory_calloc(count, sizes[i]);
            assert_non_null(block);
            for (size_t at = 0; at < count * sizes[i]; at++)
                assert_int_equal(block[at], 0);
            free(block);
        }
}

static int pages_in_memory(const char *block)
{
    unsigned char is_there[LARGE / PAGE] = {0};
    char *first = (char *)(((uintptr_t)block + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    assert_int_equal(mincore(first, LARGE - PAGE, is_there), 0);
    int count = 0;
    for (int i = 0; i < LARGE / PAGE; i++)
        count += is_there[i] & 1;
    return count;
}

static void what_is_not_written_takes_no_memory(void **state)
{
    (void)state;
    if (sysconf(_SC_PAGESIZE) != PAGE)
        skip();
    char *blocks[BLOCKS], *between[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(LARGE);
        between[i] = malloc(16); /* what lies before it is not given back to the system */
        assert_non_null(blocks[i]);
        memset(blocks[i], 'x', LARGE);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = curl_memory_calloc(1, LARGE);
        assert_non_null(blocks[i]);
        blocks[i][0] = 'x';
        assert_true(pages_in_memory(blocks[i]) <= 1);
    }
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
        free(between[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_zero_whatever_was_in_it),
        cmocka_unit_test(what_is_not_written_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
