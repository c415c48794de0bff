/* One question of doctor: may this user have transactions? */
#include "kafka/conf.h"
#include "kafka/explain.h"
#include "kafka/transactor.h"

static bool ask(rd_kafka_t *rk, int timeout_ms, struct error *reterr)
{
    rd_kafka_error_t *error = rd_kafka_init_transactions(rk, timeout_ms);
    if (!error)
        return true;
    char text[EXPLAIN_SIZE];
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    if (code == RD_KAFKA_RESP_ERR__FATAL) /* it hides what it was */
        code = rd_kafka_fatal_error(rk, NULL, 0);
    explain(code, NULL, text);
    rd_kafka_error_destroy(error);
    return error_set(reterr, explain_kind(code), "kafka", code, "%s", text);
}

bool kafka_transactions_check(const struct kafka_cluster *cluster, const char *transactional_id,
                              int64_t timeout_ms, struct error *reterr)
{
    char text[160] = "";
    const struct kafka_property wanted[] = {{"transactional.id", transactional_id}};
    const struct conf_client client = {RD_KAFKA_PRODUCER, "e2b-worker-doctor", wanted, ARRAY_LENGTH(wanted)};
    rd_kafka_conf_t *conf = conf_new(cluster, &client, reterr);
    if (!conf)
        return false;
    (void)rd_kafka_conf_set(conf, "message.timeout.ms", "5000", NULL, 0); /* not above the transaction's */
    (void)rd_kafka_conf_set(conf, "log.queue", "false", NULL, 0);
    (void)rd_kafka_conf_set(conf, "log_level", "0", NULL, 0); /* the report says what went wrong */
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        return error_set(reterr, ERROR_REJECTED, "config", 0, "kafka.properties: %s", text);
    }
    bool is_allowed = ask(rk, (int)timeout_ms, reterr);
    rd_kafka_destroy(rk);
    return is_allowed;
}
