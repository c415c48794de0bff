/* e2b-worker doctor */
#include "command.h"
#include <stdio.h>
static int run(const struct command *command, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return command_usage(command, "not yet");
}
const struct command command_doctor = {
    .name = "doctor", .arguments = "", .summary = "doctor", .help = "", .run = run};
