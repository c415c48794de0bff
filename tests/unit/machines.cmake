add_unit_test(core/execution BODIES core base)
add_unit_test(core/custody BODIES core base)
add_unit_test(core/flight BODIES core base)
add_unit_test(core/breaker BODIES core base)
