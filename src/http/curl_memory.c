/* Memory for libcurl. */
#include "http/curl_memory.h"

#include "base/base.h"

#include <curl/curl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LARGE_BYTES = 16384 };

/* Zeroes it by giving its pages back. Returns: false when the system does not. */
static bool give_back(unsigned char *block, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    size_t head = (size_t)(-(uintptr_t)block & (page - 1));
    if (head >= size)
        return false;
    size_t whole = (size - head) & ~(size_t)(page - 1);
    if (whole == 0 || madvise(block + head, whole, MADV_DONTNEED) != 0)
        return false;
    memset(block, 0, head);
    memset(block + head + whole, 0, size - head - whole);
    return true;
}

void *curl_memory_calloc(size_t count, size_t size)
{
    if (count != 1 || size < LARGE_BYTES)
        return calloc(count, size);
    unsigned char *block = malloc(size);
    if (block && !give_back(block, size))
        memset(block, 0, size);
    return block;
}

void curl_memory_init(void)
{
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, free, realloc, strdup, curl_memory_calloc) !=
        CURLE_OK)
        base_die("libcurl cannot begin: curl_global_init_mem failed");
}
