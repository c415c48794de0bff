add_unit_test(redis/url BODIES redis loop timers base)
add_unit_test(redis/replies BODIES redis loop timers base FOREIGN PkgConfig::HIREDIS)
