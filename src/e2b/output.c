/* Output for programs that only pass it on. */
#include <e2b/e2b.h>

#include <stdio.h>

void e2b_output_print(struct e2b_call *call, const struct e2b_output *output)
{
    (void)call;
    if (output->kind == E2B_OUTPUT_STDOUT)
        (void)fwrite(output->bytes.data, 1, output->bytes.length, stdout);
    else if (output->kind == E2B_OUTPUT_STDERR)
        (void)fwrite(output->bytes.data, 1, output->bytes.length, stderr);
}
