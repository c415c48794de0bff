add_unit_test(fakes/loop BODIES loop_fake timers base)
