add_unit_test(codec/job BODIES codec core base FOREIGN PkgConfig::JANSSON)
add_unit_test(codec/result BODIES codec core base FOREIGN PkgConfig::JANSSON)
add_unit_test(config/config BODIES config codec core base FOREIGN PkgConfig::JANSSON DEFINES SCHEMAS="${CMAKE_SOURCE_DIR}/schemas")
