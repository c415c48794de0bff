add_unit_test(codec/job BODIES codec core base FOREIGN PkgConfig::JANSSON)
