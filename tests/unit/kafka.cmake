add_unit_test(kafka/offset_map BODIES offset_map base)
add_unit_test(kafka/partition BODIES offset_map base)
add_unit_test(kafka/explain BODIES kafka offset_map loop timers base FOREIGN PkgConfig::RDKAFKA)
add_unit_test(kafka/fakes BODIES kafka_fake loop_fake offset_map timers base)
