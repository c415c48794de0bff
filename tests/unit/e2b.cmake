set(e2b_bodies e2b http_client loop timers base)
set(e2b_foreign PkgConfig::UV PkgConfig::CURL PkgConfig::JANSSON)
add_unit_test(e2b/replay BODIES ${e2b_bodies} SOURCES e2b/server.c e2b/world.c FOREIGN ${e2b_foreign})
add_unit_test(e2b/slots BODIES ${e2b_bodies} SOURCES e2b/server.c e2b/world.c FOREIGN ${e2b_foreign})
