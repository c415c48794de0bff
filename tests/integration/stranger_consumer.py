"""A stranger's program: publishes one job, waits for its result, prints it and ends as the job did. It knows README.md,
schemas/ and a plain Kafka client (aiokafka[lz4]), nothing of this project's code.

    stranger_consumer.py BOOTSTRAP JOB_TOPIC RESULTS_TOPIC JOB.json

Exit codes: 0 the job succeeded, 1 it did not, 3 a job of this id exists already, 75 no result within a minute.
"""
import asyncio
import json
import sys

import aiokafka

FINISHED = "e2b-worker.job.finished.v1"
DUPLICATE = "e2b-worker.job.duplicate.v1"
PATIENCE_S = 60


async def reader_at_the_end(bootstrap, topic):
    """All partitions, without a group, from their ends: what is published from now on cannot be missed."""
    consumer = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    await consumer.seek_to_end()
    for partition in consumer.assignment():
        await consumer.position(partition)  # seek_to_end only promises; this makes it so
    return consumer


async def publish(bootstrap, topic, job):
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, json.dumps(job).encode(), key=job["job_id"].encode())
    finally:
        await producer.stop()


async def answer_to(job, consumer):
    tenant = job.get("tenant_id", "default")
    async for message in consumer:
        headers = {name: value.decode() for name, value in message.headers}
        if headers.get("ce_type") not in (FINISHED, DUPLICATE):
            continue
        data = json.loads(message.value)
        if (data["tenant_id"], data["job_id"]) == (tenant, job["job_id"]):
            return headers["ce_type"], data


def show(result):
    sys.stdout.write(result["stdout"]["text"])
    sys.stderr.write(result["stderr"]["text"])
    for rich in result["results"]:
        if rich.get("is_main_result"):
            print(rich.get("text"))
    for artifact in result["artifacts"]:
        print(f"artifact {artifact['path']}, {artifact['bytes']} bytes", file=sys.stderr)
    error = result["error"]
    print(f"{result['job_id']} {result['status']}" + (f": {error['code']}: {error['message']}" if error else ""),
          file=sys.stderr)


async def main(bootstrap, job_topic, results_topic, path):
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    consumer = await reader_at_the_end(bootstrap, results_topic)
    try:
        await publish(bootstrap, job_topic, job)
        ce_type, data = await asyncio.wait_for(answer_to(job, consumer), PATIENCE_S)
    except asyncio.TimeoutError:
        print(f"{job['job_id']}: no result within {PATIENCE_S} s", file=sys.stderr)
        return 75
    finally:
        await consumer.stop()
    if ce_type == DUPLICATE:
        print(f"{job['job_id']} exists already", file=sys.stderr)
        return 3
    show(data)
    return 0 if data["status"] == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
