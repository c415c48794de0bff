#ifndef CODEC_HOP_H
#define CODEC_HOP_H
#include "codec/envelope.h"

/* A job that has to wait for longer does so as a copy of its record in a retry topic, hop after hop. The copy
 * has the record's value, so that digest and decoding stay the same, and its headers, and with them these,
 * which replace those of the hop before:
 *
 *   x-hop         how many copies there were, this one included
 *   x-not-before  Unix ms: nothing is done for the job before. The record's own timestamp decides nothing
 *   x-wake-at     Unix ms: this copy is looked at then; its tier after it was written, at the latest
 *   x-job-id, x-origin, x-first-seen, x-topic
 *                 what the place of the first record said (core/job.h, struct provenance)
 *
 * Only workers write to retry topics, and only there are these headers believed. Pure. */

enum { HOP_ID_SIZE = 65, HOP_ORIGIN_SIZE = 9, HOP_TOPIC_SIZE = 250, HOP_HEADERS_MAX = 7 };

struct hop {
    int64_t number;                                                           /* 0: not said */
    int64_t not_before_unix_ms, wake_unix_ms, first_seen_unix_ms;             /* -1: not said */
    char job_id[HOP_ID_SIZE], origin[HOP_ORIGIN_SIZE], topic[HOP_TOPIC_SIZE]; /* "": not said */
};

/* What cannot be read counts as not said. */
void hop_read(const struct header *headers, size_t count, struct hop *ret);

/* The headers of a copy: the record's own, then what `hop` says. All of it lies in the arena or is borrowed
 * from `headers`. Returns: how many; at most count + HOP_HEADERS_MAX. */
size_t hop_write(const struct hop *hop, const struct header *headers, size_t count, struct arena *arena,
                 struct header **ret);

#endif
