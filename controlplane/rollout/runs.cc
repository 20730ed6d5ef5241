// Sessions and their checkpoints.
#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/service.h"
#include "store/ids.h"
#include "store/keys.h"

namespace jetmon::rollout {
namespace {

constexpr size_t kMaxMetadata = 16 << 10;
constexpr size_t kMaxText = 255;
constexpr size_t kMaxNote = 1000;

}  // namespace

absl::Status Service::CreateSession(const Caller& caller, const v1::CreateSessionRequest& request,
                                    v1::Session* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (auto s = CheckHost(request.owner_host()); !s.ok()) return s;
  if (request.change_ref().size() > kMaxText) {
    return InvalidField("change_ref", "takes up to 255 characters");
  }
  store::Session session;
  session.created_at_ms = session.updated_at_ms = parts_.clock->WallMs();
  session.run_id = "rol_" + store::NewUlid(session.created_at_ms);
  session.range = *range;
  session.owner_host = request.owner_host();
  session.change_ref = request.change_ref();
  session.metadata_json.clear();
  if (!google::protobuf::util::MessageToJsonString(request.metadata(), &session.metadata_json)
           .ok() ||
      session.metadata_json.size() > kMaxMetadata) {
    return InvalidField("metadata", "takes an object of up to 16 KiB");
  }
  session.state = "open";
  session.key_id = caller.key_id;
  session.consumer = caller.consumer;
  const absl::Status s =
      parts_.Commit(commits::kCreateSession, [&](sql::Transaction& tx) -> absl::Status {
        if (auto inserted = store::InsertSession(tx, session); !inserted.ok()) return inserted;
        return caller.on_commit ? caller.on_commit(tx, "session", session.run_id)
                                : absl::OkStatus();
      });
  if (!s.ok()) return s;
  *response = SessionMessage(session);
  return absl::OkStatus();
}

absl::Status Service::GetSession(const std::string& run_id, v1::Session* response) {
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto session = CheckRun(tx, run_id, std::nullopt, /*closed_too=*/true);
    if (!session.ok()) return session.status();
    *response = SessionMessage(*session);
    return absl::OkStatus();
  });
}

absl::Status Service::ListSessions(const v1::ListSessionsRequest& request,
                                   v1::ListSessionsResponse* response) {
  auto page = PageOf(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  if (!request.state().empty() && request.state() != "open" && request.state() != "closed") {
    return InvalidField("state", "takes open or closed");
  }
  return PageError(parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto rows = store::ListSessions(tx, request.state(), *page);
    if (!rows.ok()) return rows.status();
    for (const auto& s : rows->rows) *response->add_sessions() = SessionMessage(s);
    response->set_next_page_token(rows->next_token);
    return absl::OkStatus();
  }));
}

absl::Status Service::CloseSession(const Caller& caller, const v1::CloseSessionRequest& request,
                                   v1::Session* response) {
  if (request.reason().size() > kMaxText) {
    return InvalidField("reason", "takes up to 255 characters");
  }
  return parts_.Commit(commits::kCloseSession, [&](sql::Transaction& tx) -> absl::Status {
    if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
    auto session = CheckRun(tx, request.run_id(), std::nullopt, /*closed_too=*/false);
    if (!session.ok()) return session.status();
    auto locks = store::ListHeldRanges(tx);
    if (!locks.ok()) return locks.status();
    for (const auto& l : *locks) {
      if (l.run_id != request.run_id()) continue;
      return Error(v1::SESSION_IN_USE, absl::StrCat("its range ", l.range.ToString(), " is ",
                                                    l.state, "; release it first"));
    }
    auto jobs = store::CountUnfinishedJobs(tx, request.run_id());
    if (!jobs.ok()) return jobs.status();
    if (*jobs > 0) return Error(v1::SESSION_IN_USE, absl::StrCat(*jobs, " of its jobs run"));
    auto closed =
        store::CloseSession(tx, request.run_id(), request.reason(), parts_.clock->WallMs());
    if (!closed.ok()) return closed.status();
    if (!*closed) return Error(v1::RUN_CLOSED, "it was closed meanwhile");
    auto now = store::GetSession(tx, request.run_id());
    if (!now.ok()) return now.status();
    if (now->has_value()) *response = SessionMessage(**now);
    return caller.on_commit ? caller.on_commit(tx, "session", request.run_id()) : absl::OkStatus();
  });
}

absl::Status Service::RecordCheckpoint(const Caller& caller,
                                       const v1::RecordCheckpointRequest& request,
                                       v1::Checkpoint* response) {
  const std::string& kind = request.kind();
  if (kind.empty() || kind.size() > 32 ||
      kind.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos) {
    return InvalidField("kind", "takes 1 to 32 of a-z, 0-9 and _");
  }
  for (const char* own : store::checkpoint::kOwn) {
    if (kind == own) return InvalidField("kind", "is recorded by the operation itself");
  }
  if (request.note().size() > kMaxNote) {
    return InvalidField("note", "takes up to 1,000 characters");
  }
  std::optional<store::Range> part;
  if (request.has_bucket_min() || request.has_bucket_max()) {
    auto range = RangeOf(request, options_.bucket_total);
    if (!range.ok()) return range.status();
    part = *range;
  }
  uint64_t ordinal = 0;
  const absl::Status s =
      parts_.Commit(commits::kRecordCheckpoint, [&](sql::Transaction& tx) -> absl::Status {
        if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
        auto session = CheckRun(tx, request.run_id(), part, /*closed_too=*/false);
        if (!session.ok()) return session.status();
        const store::Range range = part.value_or(session->range);
        if (kind == store::checkpoint::kV1Started) {
          auto locks = store::ListHeldRanges(tx);
          if (!locks.ok()) return locks.status();
          for (const auto& l : *locks) {
            if (!l.range.Overlaps(range)) continue;
            return Error(
                v1::INVALID_CHECKPOINT,
                absl::StrCat("v2 holds buckets ", l.range.ToString(), " (", l.state,
                             "): v1 must not run there; wait for the release job, or name the "
                             "buckets that were released"));
          }
        }
        store::Checkpoint c;
        c.run_id = request.run_id();
        c.kind = kind;
        c.range = range;
        c.owner_host = session->owner_host;
        c.note = request.note();
        c.key_id = caller.key_id;
        c.consumer = caller.consumer;
        c.created_at_ms = parts_.clock->WallMs();
        auto inserted = store::InsertCheckpoint(tx, std::move(c));
        if (!inserted.ok()) return inserted.status();
        ordinal = inserted->ordinal;
        *response = CheckpointMessage(*inserted);
        if (auto s = store::TouchSession(tx, request.run_id(), parts_.clock->WallMs()); !s.ok()) {
          return s;
        }
        if (!caller.on_commit) return absl::OkStatus();
        return caller.on_commit(tx, "checkpoint",
                                absl::StrCat(request.run_id(), "/", inserted->ordinal));
      });
  if (s.ok() && kind == store::checkpoint::kV1Stopped) {
    stops_.Stopped(ordinal, parts_.clock->Boot());
  }
  return s;
}

absl::Status Service::ReplayCheckpoint(const std::string& id, v1::Checkpoint* response) {
  const std::string run_id = id.substr(0, id.find('/'));
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto rows = store::ListCheckpoints(tx, run_id);
    if (!rows.ok()) return rows.status();
    for (const auto& c : *rows) {
      if (absl::StrCat(run_id, "/", c.ordinal) != id) continue;
      *response = CheckpointMessage(c);
      return absl::OkStatus();
    }
    return Error(v1::NOT_FOUND, "the checkpoint is gone");
  });
}

}  // namespace jetmon::rollout
