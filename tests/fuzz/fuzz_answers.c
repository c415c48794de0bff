/* Whole answers of the control plane and of envd, and refusals of anybody. */
#include "e2b/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes json = {.data = data, .length = size};
    struct arena arena = {0};
    struct answer_handle handle;
    struct e2b_sandbox_info info;
    struct e2b_sandbox_page page;
    struct e2b_file_info file;
    struct e2b_file_page files;
    char code[48], message[200];
    (void)!answers_handle(json, &arena, &handle);
    (void)!answers_info(json, &arena, &info);
    (void)!answers_page(json, &arena, &page);
    (void)!answers_file(json, &arena, &file);
    (void)!answers_files(json, &arena, &files);
    (void)answers_refusal(json, code, sizeof code, message, sizeof message);
    arena_release(&arena);
    return 0;
}
