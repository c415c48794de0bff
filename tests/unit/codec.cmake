add_unit_test(codec/job BODIES codec core base FOREIGN PkgConfig::JANSSON)
add_unit_test(codec/result BODIES codec core base FOREIGN PkgConfig::JANSSON)
