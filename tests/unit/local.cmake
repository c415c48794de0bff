# e2b-local's own parts that are pure; its behaviour on the wire is tested by tests/integration/test_e2b_local.py.
foreach(module connect_frame metadata_filter multipart)
    add_unit_test(local/${module} BODIES e2b_local base)
endforeach()
add_unit_test(http/server BODIES http_server loop timers base FOREIGN PkgConfig::UV)
