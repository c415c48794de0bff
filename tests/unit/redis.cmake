add_unit_test(redis/url BODIES redis loop timers base)
add_unit_test(redis/answers BODIES redis loop timers base FOREIGN PkgConfig::HIREDIS)
