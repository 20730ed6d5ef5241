"""gRPC from Python, with message classes made from the published descriptors."""
from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from launcher.rest import Json

PROTOSET = "proto/jetmon_gen.protoset"


class GrpcService:
    """One service at an address; requests and answers are dictionaries."""

    def __init__(self, name: str, address: str, token: str, descriptors: str):
        self._name = name
        self._channel = grpc.insecure_channel(address)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._pool = descriptor_pool.DescriptorPool()
        files = descriptor_pb2.FileDescriptorSet()
        with open(descriptors, "rb") as file:
            files.ParseFromString(file.read())
        for one in files.file:
            self._pool.Add(one)
        self._service = self._pool.FindServiceByName(name)
        self._factory = message_factory.MessageFactory(self._pool)

    def close(self) -> None:
        self._channel.close()

    def ask(self, name: str, body: Json) -> Json:
        request, answer = self._messages(name, body)
        call = self._channel.unary_unary(f"/{self._name}/{name}",
                                         request_serializer=type(request).SerializeToString,
                                         response_deserializer=answer.FromString)
        return self._dictionary(call(request, timeout=75, metadata=self._metadata))

    def stream(self, name: str, body: Json) -> list[Json]:
        """All answers of a streaming call."""
        request, answer = self._messages(name, body)
        call = self._channel.unary_stream(f"/{self._name}/{name}",
                                          request_serializer=type(request).SerializeToString,
                                          response_deserializer=answer.FromString)
        return [self._dictionary(one)
                for one in call(request, timeout=75, metadata=self._metadata)]

    def _messages(self, name: str, body: Json) -> tuple[Any, Any]:
        method = self._service.methods_by_name[name]
        request = self._factory.GetPrototype(method.input_type)()
        json_format.ParseDict(body, request, descriptor_pool=self._pool)
        return request, self._factory.GetPrototype(method.output_type)

    def _dictionary(self, message: Any) -> Json:
        return json_format.MessageToDict(message, preserving_proto_field_name=True,
                                         including_default_value_fields=True,
                                         descriptor_pool=self._pool)
