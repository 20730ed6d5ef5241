#include "tests/lab/v1/receiver_rules.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace jetmon::lab {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;
using Answer = Treatment::Answer;

constexpr double kLargestExact = 9007199254740992.0;  // 2^53

std::optional<uint64_t> WholeNumber(const Struct& message, const char* name) {
  const auto it = message.fields().find(name);
  if (it == message.fields().end() || !it->second.has_number_value()) return std::nullopt;
  const double number = it->second.number_value();
  if (number < 0 || number > kLargestExact || number != std::floor(number)) return std::nullopt;
  return static_cast<uint64_t>(number);
}

std::string Text(const Struct& message, const char* name) {
  const auto it = message.fields().find(name);
  return it == message.fields().end() ? "" : it->second.string_value();
}

}  // namespace

absl::StatusOr<Told> ParseTold(const std::string& method, const std::string& path,
                               const std::string& query, const std::string& idempotency_key,
                               const std::string& body) {
  Told told;
  absl::string_view json = body;
  if (method == "GET" && path == "/jetmon/") {
    told.sender = "v1";
    json = query;
    if (!absl::ConsumePrefix(&json, "data=")) json = "";
  } else if (method == "POST") {
    told.sender = "v2";
    told.id = idempotency_key;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("nobody tells by ", method, " ", path));
  }
  Struct message;
  if (!google::protobuf::util::JsonStringToMessage(
           google::protobuf::StringPiece(json.data(), json.size()), &message)
           .ok()) {
    return absl::InvalidArgumentError("what is told is no JSON object");
  }
  const auto blog = WholeNumber(message, "blog_id");
  const auto status = WholeNumber(message, "status_id");
  told.url = Text(message, "monitor_url");
  if (!blog || !status || *status > 2 || told.url.empty()) {
    return absl::InvalidArgumentError("blog_id, monitor_url and status_id (0, 1, 2) are needed");
  }
  told.blog_id = *blog;
  told.status = static_cast<int>(*status);
  if (told.sender == "v2" && (told.id.empty() || Text(message, "notification_id") != told.id)) {
    return absl::InvalidArgumentError("idempotency-key and notification_id differ, or are missing");
  }
  return told;
}

std::optional<Answer> ParseAnswer(const std::string& word) {
  if (word == "ok") return Answer::kOk;
  if (word == "slow") return Answer::kSlow;
  if (word == "error") return Answer::kError;
  if (word == "silent") return Answer::kSilent;
  return std::nullopt;
}

double ReceiverRules::Draw() {
  // The upper 53 bits: the same on each machine, which the library's distributions are not.
  return static_cast<double>(random_() >> 11) / kLargestExact;
}

Treatment ReceiverRules::Take(const Told& told) {
  // As many draws for each tell, so that one probability does not shift what others decide.
  const double delay = Draw(), second = Draw(), write = Draw(), answer = Draw();
  Treatment treatment;
  treatment.repeat = !told.id.empty() && !ids_.insert(told.id).second;
  const auto range = habits_.delay_max - habits_.delay_min;
  const auto after = [&](double drawn) {
    return habits_.delay_min +
           std::chrono::milliseconds(static_cast<int64_t>(drawn * (range.count() + 1)));
  };
  if (!treatment.repeat && write >= habits_.never_writes) {
    treatment.writes.push_back(after(delay));
    if (write < habits_.never_writes + habits_.writes_twice) {
      treatment.writes.push_back(after(second));
    }
  }
  double share = answer;
  for (const auto& [kind, probability] : {std::pair(Answer::kSlow, habits_.answers_slowly),
                                          std::pair(Answer::kError, habits_.answers_error),
                                          std::pair(Answer::kClose, habits_.closes)}) {
    if (share >= 0 && share < probability) treatment.answer = kind;
    share -= probability;
  }
  if (forced_ != Answer::kOk) treatment.answer = forced_;
  return treatment;
}

}  // namespace jetmon::lab
