# Writes OUT: the text file IN as the C array NAME, with its length in NAME_length, so that no file is needed at run time.
# HEADER declares them. STRIP=ON leaves whole comment lines out (of a script that travels). Run with cmake -P.
file(READ "${IN}" text)
if(STRIP)
    string(REGEX REPLACE "(^|\n)([ \t]*#[^\n]*\n)+" "\\1" text "${text}")
endif()
string(HEX "${text}" hex)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(([^,]*,){20})" "\\1\n    " bytes "${bytes}")
get_filename_component(file "${IN}" NAME)
file(WRITE "${OUT}" "/* Generated from ${file} by cmake/embed_text.cmake. */\n#include \"${HEADER}\"\n\n"
    "const char ${NAME}[] = {\n    ${bytes} 0};\nconst size_t ${NAME}_length = sizeof ${NAME} - 1;\n")
