"""The same rollout, driven over REST by curl and over gRPC by a Python client; test story_test drives
it by the CLI."""
from __future__ import annotations

import json
import subprocess
import unittest
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from lab_case import LabCase
from launcher.rest import Json


class Curl:
    """RolloutService by curl."""

    def __init__(self, url: str, token: str):
        self._url, self._token = url, token

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "75",
                   "--request", method, "--header", f"authorization: Bearer {self._token}",
                   self._url + "/api/v1/rollout/" + path]
        if body is not None:
            command += ["--header", "content-type: application/json", "--data", json.dumps(body)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stdout} {done.stderr}")
        return json.loads(done.stdout)

    def session(self, body: Json) -> Json:
        return self.ask("POST", "sessions", body)

    def checkpoint(self, run_id: str, kind: str) -> Json:
        return self.ask("POST", f"sessions/{run_id}/checkpoints", {"kind": kind})

    def operation(self, name: str, body: Json) -> Json:
        return self.ask("POST", name, body)

    def gate(self, name: str, low: int, high: int) -> Json:
        return self.ask("GET", f"{name}?bucket_min={low}&bucket_max={high}")


class Grpc:
    """RolloutService over gRPC, with message classes made from the published descriptors."""

    CALLS = {"preflight": "Preflight", "smoke": "Smoke", "seed": "Seed",
             "final-reconcile": "FinalReconcile", "activate-buckets": "ActivateBuckets",
             "release-buckets": "ReleaseBuckets", "bucket-coverage": "GetBucketCoverage",
             "activity-check": "CheckActivity", "projection-drift": "GetProjectionDrift"}

    def __init__(self, address: str, token: str, descriptors: str):
        self._channel = grpc.insecure_channel(address)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._pool = descriptor_pool.DescriptorPool()
        files = descriptor_pb2.FileDescriptorSet()
        with open(descriptors, "rb") as file:
            files.ParseFromString(file.read())
        for one in files.file:
            self._pool.Add(one)
        self._service = self._pool.FindServiceByName("jetmon.v1.RolloutService")
        self._factory = message_factory.MessageFactory(self._pool)

    def close(self) -> None:
        self._channel.close()

    def ask(self, name: str, body: Json) -> Json:
        method = self._service.methods_by_name[name]
        request: Any = self._factory.GetPrototype(method.input_type)()
        answer: Any = self._factory.GetPrototype(method.output_type)
        json_format.ParseDict(body, request, descriptor_pool=self._pool)
        call = self._channel.unary_unary(f"/jetmon.v1.RolloutService/{name}",
                                         request_serializer=type(request).SerializeToString,
                                         response_deserializer=answer.FromString)
        return json_format.MessageToDict(
            call(request, timeout=75, metadata=self._metadata), preserving_proto_field_name=True,
            including_default_value_fields=True, descriptor_pool=self._pool)

    def session(self, body: Json) -> Json:
        return self.ask("CreateSession", body)

    def checkpoint(self, run_id: str, kind: str) -> Json:
        return self.ask("RecordCheckpoint", {"run_id": run_id, "kind": kind})

    def operation(self, name: str, body: Json) -> Json:
        return self.ask(self.CALLS[name], body)

    def gate(self, name: str, low: int, high: int) -> Json:
        return self.ask(self.CALLS[name], {"bucket_min": low, "bucket_max": high})


class WaysTest(LabCase):
    def test_curl_and_grpc(self) -> None:
        lab = self.lab
        lab.start_all()
        lab.wait_checked("v1", 0, 511, since=0)
        with self.subTest("curl"):
            self.there_and_back(Curl(lab.api.url, lab.api.token), 0, 255, "monitor-a")
        with self.subTest("gRPC"):
            client = Grpc(f"127.0.0.1:{lab.port['grpc']}", lab.api.token,
                          lab.programs.path("proto/jetmon_gen.protoset"))
            self.addCleanup(client.close)
            self.there_and_back(client, 256, 511, "monitor-b")
        lab.wait_at_rest()
        self.assert_judged_ok()

    def there_and_back(self, client: Curl | Grpc, low: int, high: int, owner: str) -> None:
        where = {"bucket_min": low, "bucket_max": high, "owner_host": owner}
        run_id = client.session(where)["run_id"]
        body = {**where, "run_id": run_id}
        self.good(client.operation("preflight", body))
        self.good(client.operation("smoke", {**body, "read_only": True, "wait": "60s"}))
        self.planned(client, "seed", body)
        self.lab.stop_v1(low, high)
        client.checkpoint(run_id, "v1_stopped")
        self.planned(client, "final-reconcile", body)
        done = self.planned(client, "activate-buckets", body)
        self.assertEqual(done["activate"]["range_state"], "active")
        self.good(client.gate("bucket-coverage", low, high))
        self.lab.wait_checked(owner, low, high)
        self.good(client.gate("projection-drift", low, high))
        done = self.planned(client, "release-buckets", body)
        self.assertTrue(done["release"]["v1_may_start"])
        self.assertTrue(done["release"]["drained"])
        self.lab.start_v1_range(run_id, low, high)
        self.lab.wait_checked("v1", low, high)

    def planned(self, client: Curl | Grpc, name: str, body: Json) -> Json:
        plan = self.good(client.operation(name, {**body, "dry_run": True}))
        return self.good(client.operation(name, {
            **body, "execute": True, "confirm": plan["confirmation_token"], "wait": "60s"}))

    def good(self, answer: Json) -> Json:
        self.assertEqual(answer["status"], "ok", answer)
        return answer


if __name__ == "__main__":
    unittest.main()
