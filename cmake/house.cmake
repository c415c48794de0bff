# One INTERFACE target carries what every target of ours is compiled with: the dialect, the warnings, the sanitizers.
set(E2BW_SANITIZE "" CACHE STRING "comma-separated -fsanitize list: address,undefined | thread | fuzzer-no-link,address,undefined")
option(E2BW_WERROR "treat warnings as errors (CI)" OFF)
option(E2BW_FUZZ "build the fuzz targets (clang only)" OFF)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # uv.h 1.44 needs gnu11
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # every layer may end in libe2b.so
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(house INTERFACE)
target_compile_definitions(house INTERFACE _GNU_SOURCE E2BW_VERSION="${PROJECT_VERSION}")
target_compile_options(house INTERFACE
    -Wall -Wextra -Wshadow -Wswitch-enum -Wmissing-prototypes -Wstrict-prototypes -Wvla
    -Wformat=2 -Wimplicit-fallthrough -Wundef $<$<BOOL:${E2BW_WERROR}>:-Werror>)
if(E2BW_SANITIZE)
    target_compile_options(house INTERFACE -fsanitize=${E2BW_SANITIZE} -fno-omit-frame-pointer
        $<$<C_COMPILER_ID:GNU,Clang>:-fno-sanitize-recover=undefined>)
    string(REPLACE "fuzzer-no-link" "" link_sanitizers "${E2BW_SANITIZE}")
    string(REGEX REPLACE "^,|,$" "" link_sanitizers "${link_sanitizers}")
    target_link_options(house INTERFACE -fsanitize=${link_sanitizers})
endif()
if(E2BW_SANITIZE MATCHES "thread")
    # Programs only: their definition stands in front of libc's (see the file).
    add_library(c11_threads OBJECT ${CMAKE_CURRENT_SOURCE_DIR}/tests/tsan/c11_threads.c)
    target_compile_options(c11_threads PRIVATE -fsanitize=thread)
    target_link_libraries(house INTERFACE
        $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:$<TARGET_OBJECTS:c11_threads>>)
endif()
