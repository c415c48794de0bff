#ifndef CONFIG_BUILTIN_H
#define CONFIG_BUILTIN_H
#include <stddef.h>

/* catalog.json as it was when the program was built. Private to config/. */
extern const char builtin_catalog[];
extern const size_t builtin_catalog_length;

#endif
