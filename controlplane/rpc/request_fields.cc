#include "controlplane/rpc/request_fields.h"

#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "store/ids.h"

namespace jetmon::rpc {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The singular field of that name and type, or nullptr.
const FieldDescriptor* Field(const Message& message, const char* name,
                             FieldDescriptor::CppType type) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr || field->is_repeated() || field->cpp_type() != type) return nullptr;
  return field;
}

}  // namespace

bool IsDryRun(const Message& request) {
  const FieldDescriptor* field = Field(request, "dry_run", FieldDescriptor::CPPTYPE_BOOL);
  return field != nullptr && request.GetReflection()->GetBool(request, field);
}

std::string TextField(const Message& request, const char* name) {
  const FieldDescriptor* field = Field(request, name, FieldDescriptor::CPPTYPE_STRING);
  return field == nullptr ? "" : request.GetReflection()->GetString(request, field);
}

std::optional<uint32_t> UintField(const Message& request, const char* name) {
  const FieldDescriptor* field = Field(request, name, FieldDescriptor::CPPTYPE_UINT32);
  if (field == nullptr || !field->has_presence() ||
      !request.GetReflection()->HasField(request, field)) {
    return std::nullopt;
  }
  return request.GetReflection()->GetUInt32(request, field);
}

std::string RequestHash(const Message& request) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  return store::Sha256Hex(bytes);
}

}  // namespace jetmon::rpc
