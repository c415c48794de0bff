#ifndef E2B_LOCAL_STRAYS_H
#define E2B_LOCAL_STRAYS_H
#include "base/base.h"

/* Processes of a sandbox that nothing but their environment tells: with neither namespace nor control group
 * one that left its session is known by E2B_SANDBOX_ID only. */

/* Kills them. Returns: how many there were. Thread: any. Blocks, as long as it takes to read /proc. */
int strays_kill(const char *sandbox);

#endif
