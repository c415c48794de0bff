#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H
/* What every unit test includes: cmocka and the headers that cmocka forgot to include. Test names are
 * sentences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_text(actual, expected) assert_string_equal((actual), (expected))

#endif
