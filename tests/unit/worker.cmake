add_unit_test(worker/process_record BODIES worker core base)
