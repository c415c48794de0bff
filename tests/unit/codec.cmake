add_unit_test(codec/job BODIES codec core base FOREIGN PkgConfig::JANSSON)
add_unit_test(codec/result BODIES codec core base FOREIGN PkgConfig::JANSSON)
add_unit_test(config/config BODIES config codec core base FOREIGN PkgConfig::JANSSON DEFINES SCHEMAS="${CMAKE_SOURCE_DIR}/schemas")
add_unit_test(codec/envelope BODIES codec core base FOREIGN PkgConfig::JANSSON)
add_unit_test(codec/event BODIES codec core base FOREIGN PkgConfig::JANSSON)
add_unit_test(config/examples BODIES config codec core base PORTS codec FOREIGN PkgConfig::JANSSON
    DEFINES EXAMPLES="${CMAKE_SOURCE_DIR}/schemas/examples/job.v1")
add_unit_test(codec/draft BODIES codec core base FOREIGN PkgConfig::JANSSON)
add_unit_test(codec/event_view BODIES codec core base FOREIGN PkgConfig::JANSSON)
