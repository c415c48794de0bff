add_unit_test(kafka/offset_map BODIES offset_map base)
add_unit_test(kafka/partition BODIES kafka offset_map loop timers base)
add_unit_test(kafka/explain BODIES kafka offset_map loop timers base FOREIGN PkgConfig::RDKAFKA)
