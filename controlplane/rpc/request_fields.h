#ifndef JETMON_CONTROLPLANE_RPC_REQUEST_FIELDS_H_
#define JETMON_CONTROLPLANE_RPC_REQUEST_FIELDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "google/protobuf/message.h"

// What the chain reads of any request by the names of its fields.
namespace jetmon::rpc {

// The request has a field dry_run and it is true.
bool IsDryRun(const google::protobuf::Message& request);
// A string field's value; "" when there is no such field.
std::string TextField(const google::protobuf::Message& request, const char* name);
// A uint32 field's value where it is set.
std::optional<uint32_t> UintField(const google::protobuf::Message& request, const char* name);
// SHA-256 (hex) over the message's deterministic serialization.
std::string RequestHash(const google::protobuf::Message& request);

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_REQUEST_FIELDS_H_
