#ifndef WORKER_FLIGHT_PUBLISH_H
#define WORKER_FLIGHT_PUBLISH_H
#include "worker/flight_runner.h"

/* The last part of a flight: the verdict into bytes, the bytes into the ledger, then into Kafka. Answers come
 * back to the flight by flight_runner_advance. */

/* Encodes the outcome (once) and seals it, with the permit when the claim is held. */
void flight_publish_seal(struct flight_runner *runner);
/* The verdict as it is sealed, encoded once more where it is not in memory any more. Borrowed from the
 * flight. */
struct bytes flight_publish_sealed(struct flight_runner *runner);
/* The result's own bytes; is_small: once more, with all bodies left out. */
void flight_publish_result(struct flight_runner *runner, bool is_small);
/* The bytes that somebody else sealed, kept in runner->sealed. */
void flight_publish_found(struct flight_runner *runner);
/* Where the job's record stands, as the ledger keeps it; "" unless results go by transactions. */
const char *flight_publish_place(struct flight_runner *runner);
/* Transactional: what was found sealed is for another record of the job, in whose transaction it goes. */
bool flight_publish_is_copy(struct flight_runner *runner);
/* ... is that one finished? FOUND_DONE, else ELSEWHERE, the claim given back. */
void flight_publish_ask_place(struct flight_runner *runner);
/* The record as it came, to the DLQ; without its value when even the DLQ finds it too large. */
void flight_publish_divert(struct flight_runner *runner, bool with_value);
/* A copy of the record, with the next hop, to the retry topic whose delay is the flight's; the record goes on
 * there (flight_park.c). */
void flight_publish_parked(struct flight_runner *runner);

#endif
