#ifndef E2B_LOCAL_TREE_H
#define E2B_LOCAL_TREE_H
#include "base/base.h"

/* File trees whose content is not ours: nothing here follows a symbolic link out of them. */

/* Removes a directory and everything in it; no error when it is not there.
 * Returns: false when something stayed. Thread: any. Blocks. */
bool tree_remove(const char *path);
/* The same for what `name` names in the directory `folder_fd`. */
bool tree_remove_at(int folder_fd, const char *name);

#endif
