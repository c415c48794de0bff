add_unit_test(core/execution BODIES core base)
