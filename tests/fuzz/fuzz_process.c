/* What a process left behind: after a first byte 'r' a results file, else the end of its stderr. */
#include "worker/process_record.h"

#include <stdlib.h>

#define MARK "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct output_limits limits = {
        .stdout_bytes = 1024, .stderr_bytes = 1024, .artifact_bytes = 1024, .artifact_count = 4};
    if (size > 0 && data[0] == 'r') {
        struct outcome outcome;
        outcome_init(&outcome, &limits);
        process_results_read((struct bytes){data + 1, size - 1}, &outcome);
        outcome_release(&outcome);
        return 0;
    }
    struct process_report report;
    size_t at = 0;
    if (process_report_parse((struct bytes){data, size}, MARK, &report, &at) && at + sizeof MARK - 1 > size)
        abort();
    return 0;
}
