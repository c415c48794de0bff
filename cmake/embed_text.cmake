# Writes OUT: the file IN as the C string NAME, declared in HEADER, without its comment lines: the text travels with
# every job. Run with cmake -P when the file changes.
file(READ "${IN}" text)
string(REGEX REPLACE "(^|\n)([ \t]*#[^\n]*\n)+" "\\1" text "${text}")
string(HEX "${text}" hex)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
get_filename_component(file "${IN}" NAME)
file(WRITE "${OUT}" "/* Generated from ${file} by cmake/embed_text.cmake. */\n#include \"${HEADER}\"\n\n"
    "const char ${NAME}[] = {\n${bytes}0};\n")
