add_unit_test(fakes/loop BODIES loop_fake timers base)
add_unit_test(fakes/e2b BODIES e2b_fake loop_fake timers base)
add_unit_test(fakes/ledger BODIES redis_fake loop_fake timers base)
