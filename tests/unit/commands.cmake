# What the commands of e2b-worker show and read, without asking anybody; what they do is tested by tests/integration.
foreach(module dlq_record limits_table status_show)
    add_unit_test(commands/${module} BODIES e2b_worker config codec core base FOREIGN PkgConfig::JANSSON)
endforeach()
