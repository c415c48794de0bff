# embed_text(RET FILE NAME HEADER [STRIP]): generates a .c that holds FILE as the array NAME, declared in HEADER
# (embed_text.cmake says how), and sets RET to its path, for the list of sources.
function(embed_text ret file name header)
    cmake_parse_arguments(E "STRIP" "" "" ${ARGN})
    set(script ${CMAKE_SOURCE_DIR}/cmake/embed_text.cmake)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -D IN=${CMAKE_CURRENT_SOURCE_DIR}/${file} -D NAME=${name} -D HEADER=${header}
            -D STRIP=${E_STRIP} -D OUT=${out} -P ${script}
        DEPENDS ${file} ${script} VERBATIM)
    set(${ret} ${out} PARENT_SCOPE)
endfunction()
