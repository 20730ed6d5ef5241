#include "monitor/incidents.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "store/locks.h"
#include "store/tells.h"

namespace jetmon::monitor {
namespace {

constexpr char kFencePayload[] = "jetmon/fence";

absl::StatusOr<store::ChangeOutcome> Change(sql::Transaction& tx, const IncidentOp& op,
                                            store::Actor actor) {
  switch (op.kind) {
    case IncidentOp::Kind::kOpen:
      return store::OpenEvent(tx, op.site, op.why, actor, nullptr);
    case IncidentOp::Kind::kConfirm:
      return store::ConfirmDown(tx, *op.seen, op.reason, op.site.url, op.checks_json, actor);
    case IncidentOp::Kind::kRemove:
      actor.project = false;
      return store::CloseEvent(tx, *op.seen, store::transition::kSiteRemoved, op.site.url,
                               op.checks_json, actor);
    case IncidentOp::Kind::kClose:
    case IncidentOp::Kind::kFalseAlarm:
      return store::CloseEvent(tx, *op.seen, op.reason, op.site.url, op.checks_json, actor);
    case IncidentOp::Kind::kLook:
    case IncidentOp::Kind::kStillDown:
      break;  // they change no event by what was seen
  }
  return absl::InternalError("an unknown change");
}

// What is done about the columns of a site, and not about its incident.
absl::Status WriteColumnsOf(sql::Transaction& tx, const Writer& writer, const store::Actor& actor,
                            IncidentOp* op) {
  op->outcome = store::ChangeOutcome::kStale;
  if (op->kind == IncidentOp::Kind::kStillDown) {
    auto open = store::OpenEventOfSite(tx, op->site.site_id);
    if (!open.ok() || !open->has_value()) return open.status();
    return store::WriteStillDown(tx, **open, writer.still_down_after_ms, actor).status();
  }
  auto word = store::TakeLateWord(tx, op->site.site_id, op->site.bucket,
                                  writer.v1_may_speak || op->is_new, actor);
  if (word.ok()) op->word = *word;
  return word.status();
}

absl::Status ApplyOne(sql::Transaction& tx, const Writer& writer, store::Actor actor,
                      IncidentOp* op) {
  actor.muted = writer.muted.has_value() && writer.muted->Contains(op->site.bucket);
  if (op->kind == IncidentOp::Kind::kLook || op->kind == IncidentOp::Kind::kStillDown) {
    if (auto s = WriteColumnsOf(tx, writer, actor, op); !s.ok()) return s;
  } else {
    auto outcome = Change(tx, *op, actor);
    if (!outcome.ok()) return outcome.status();
    op->outcome = *outcome;
  }
  if (op->kind == IncidentOp::Kind::kFalseAlarm && op->outcome == store::ChangeOutcome::kChanged) {
    auto s = store::InsertFalsePositive(tx, *op->seen, op->votes.up, op->votes.down, actor.now_ms);
    if (!s.ok()) return s;
  }
  // Whatever came of it: what the database says now is what the next decision starts from.
  auto now = store::OpenEventOfSite(tx, op->site.site_id);
  if (!now.ok()) return now.status();
  op->now = std::move(*now);
  return absl::OkStatus();
}

}  // namespace

store::Actor ActorOf(const Writer& writer, int64_t now_ms) {
  store::Actor actor;
  actor.source = "monitor";
  actor.epoch = writer.epoch;
  actor.instance = writer.instance;
  actor.host = writer.host;
  actor.project = writer.project;
  actor.notify_sends = writer.notify_sends;
  actor.dialect = writer.dialect;
  actor.echo_ms = writer.echo_ms;
  actor.now_ms = now_ms;
  return actor;
}

absl::Status FencedOut(uint32_t bucket) {
  absl::Status s =
      absl::PermissionDeniedError(absl::StrCat("bucket ", bucket, " is not this Monitor's"));
  s.SetPayload(kFencePayload, absl::Cord(absl::StrCat(bucket)));
  return s;
}

bool IsFencedOut(const absl::Status& status) {
  return status.GetPayload(kFencePayload).has_value();
}

std::optional<uint32_t> FencedOutBucket(const absl::Status& status) {
  const auto payload = status.GetPayload(kFencePayload);
  uint32_t bucket = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &bucket)) {
    return std::nullopt;
  }
  return bucket;
}

absl::Status PassFences(sql::Transaction& tx, const Writer& writer,
                        const std::set<uint32_t>& buckets) {
  for (uint32_t bucket : buckets) {
    auto passed = store::FenceBucket(tx, bucket, writer.epoch, writer.instance);
    if (!passed.ok()) return passed.status();
    if (!*passed) return FencedOut(bucket);
  }
  return absl::OkStatus();
}

absl::Status WriteIncidents(sql::Database& db, const Clock& clock, BootTime deadline,
                            const Writer& writer, std::vector<IncidentOp>* ops) {
  std::set<uint32_t> buckets;
  for (const IncidentOp& op : *ops) buckets.insert(op.site.bucket);
  const store::Actor actor = ActorOf(writer, clock.WallMs());
  return db.Write(deadline, [&](sql::Transaction& tx) -> absl::Status {
    if (auto s = PassFences(tx, writer, buckets); !s.ok()) return s;
    for (IncidentOp& op : *ops) {
      if (auto s = ApplyOne(tx, writer, actor, &op); !s.ok()) return s;
    }
    return absl::OkStatus();
  });
}

std::string ChecksJson(const std::vector<CheckRecord>& checks) {
  std::string json = "[";
  for (const CheckRecord& c : checks) {
    // Host and vantage names hold letters, digits, '.', '_' and '-' only; anything else is dropped
    // rather than escaped.
    std::string host;
    for (char ch : c.host) {
      if (isalnum(static_cast<unsigned char>(ch)) || ch == '.' || ch == '_' || ch == '-') {
        host.push_back(ch);
      }
    }
    absl::StrAppend(&json, json.size() > 1 ? "," : "", "{\"type\":", c.type, ",\"host\":\"", host,
                    "\",\"status\":", c.status, ",\"rtt\":", c.rtt_ms, ",\"code\":", c.code, "}");
  }
  return json + "]";
}

}  // namespace jetmon::monitor
