# A layer is a port and a body. The port (target NAME.h) is the list of HEADERS, reachable as "DIR/x.h"; the body
# (static library NAME) is the code. A layer sees the ports that it names and no others, so a wrong include does not
# compile; executables choose the bodies, so a test may link a fake with the same header.
#
#   add_layer(NAME [DIR folder] HEADERS ... SOURCES ... [USES layer...] [BODY_USES layer...] [FOREIGN target...])
#
# USES: ports that our own headers include, and so handed on to whoever uses us. BODY_USES: ports for the code alone.
# FOREIGN: libraries of others; their headers stay inside the body.
function(add_layer name)
    cmake_parse_arguments(L "" "DIR" "HEADERS;SOURCES;USES;BODY_USES;FOREIGN" ${ARGN})
    if(NOT L_DIR)
        set(L_DIR ${name})
    endif()
    set(port_view ${CMAKE_BINARY_DIR}/view/${name}.h)
    set(body_view ${CMAKE_BINARY_DIR}/view/${name})
    file(MAKE_DIRECTORY ${port_view}/${L_DIR} ${body_view})
    foreach(header IN LISTS L_HEADERS)
        file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${header} ${port_view}/${L_DIR}/${header} SYMBOLIC)
    endforeach()
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${body_view}/${L_DIR} SYMBOLIC)

    add_library(${name}.h INTERFACE)
    target_include_directories(${name}.h INTERFACE ${port_view})
    list(TRANSFORM L_USES APPEND .h OUTPUT_VARIABLE ports)
    target_link_libraries(${name}.h INTERFACE ${ports})

    add_library(${name} STATIC ${L_SOURCES})
    target_include_directories(${name} PRIVATE ${body_view})
    list(TRANSFORM L_BODY_USES APPEND .h OUTPUT_VARIABLE body_ports)
    target_link_libraries(${name} PUBLIC ${name}.h PRIVATE house ${body_ports} ${L_FOREIGN})
endfunction()

# add_unit_test(LAYER/MODULE BODIES ... [SOURCES extra...] [FOREIGN target...] [ARGS ...] [TIMEOUT s]): one executable for tests/unit/LAYER/test_MODULE.c.
# BODIES are linked in the order given, users before the used. The test sees its own layer's private headers too.
function(add_unit_test path)
    cmake_parse_arguments(T "" "TIMEOUT;LABEL" "BODIES;SOURCES;FOREIGN;DEFINES;PORTS" ${ARGN})
    get_filename_component(layer ${path} DIRECTORY)
    get_filename_component(module ${path} NAME)
    if(NOT T_TIMEOUT)
        set(T_TIMEOUT 60)
    endif()
    if(NOT T_LABEL)
        set(T_LABEL unit)
    endif()
    set(target test_${layer}_${module})
    add_executable(${target} ${CMAKE_CURRENT_SOURCE_DIR}/${path}.c ${T_SOURCES})
    list(TRANSFORM T_PORTS APPEND .h OUTPUT_VARIABLE ports)
    target_link_libraries(${target} PRIVATE house ${ports} ${T_BODIES} ${T_FOREIGN} PkgConfig::CMOCKA)
    target_compile_definitions(${target} PRIVATE TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data" ${T_DEFINES})
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit)
    list(GET T_BODIES 0 own)
    if(EXISTS ${CMAKE_BINARY_DIR}/view/${own})
        target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/view/${own})
    endif()
    add_test(NAME ${layer}/${module} COMMAND ${target})
    set_tests_properties(${layer}/${module} PROPERTIES LABELS ${T_LABEL} TIMEOUT ${T_TIMEOUT})
endfunction()
