#ifndef HTTP_CURL_MEMORY_H
#define HTTP_CURL_MEMORY_H

#include <stddef.h>

/* Where libcurl has its memory from: from malloc. But since 8.7 the buffer that a request is sent from, 16
 * KiB at least, lives as long as its easy handle: of 2,000 requests that wait for their answers 30 MiB, most
 * of them never written. Those pages take no memory. Private to http/. */

/* curl_global_init, once in a process, before anybody else who uses libcurl (librdkafka does, for its
 * tokens): the first decides. Ends the process when libcurl cannot begin. */
void curl_memory_init(void);

/* As calloc. Of a large block, only those pages take memory that are written later, whatever malloc had in
 * them. */
void *curl_memory_calloc(size_t count, size_t size);

#endif
