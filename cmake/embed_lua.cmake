# Writes OUT: the scripts NAMES of the folder LUA as C strings, each behind the common prelude, those of WAITING behind
# waiters.lua, too, with their SHA-1.
# Run with cmake -P when a script changes.
cmake_minimum_required(VERSION 3.25)

function(c_string text ret)
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REPLACE "\n" "\\n\"\n        \"" text "${text}")
    set(${ret} "\"${text}\"" PARENT_SCOPE)
endfunction()

file(READ "${LUA}/prelude.lua" prelude)
file(READ "${LUA}/waiters.lua" waiters)
set(body "")
foreach(name IN LISTS NAMES)
    file(READ "${LUA}/${name}.lua" own)
    set(text "${prelude}${own}")
    if(name IN_LIST WAITING)
        set(text "${prelude}${waiters}${own}")
    endif()
    string(SHA1 sha1 "${text}")
    c_string("${text}" literal)
    string(TOUPPER "${name}" upper)
    string(APPEND body "    [SCRIPT_${upper}] = {\n        \"${name}\",\n        \"${sha1}\",\n        ${literal}},\n")
endforeach()
file(WRITE "${OUT}" "/* Generated from src/redis/lua by cmake/embed_lua.cmake. */\n#include \"redis/script.h\"\n\n"
    "const struct script scripts[SCRIPT_COUNT] = {\n${body}};\n")
