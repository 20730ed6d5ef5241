#include "controlplane/rollout/messages.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"

namespace jetmon::rollout {

std::vector<v1::Override> OverridesOf(const std::string& json) {
  // Read as the request that they came with: the library reads no array by itself.
  v1::PlannedRequest request;
  const std::string text = absl::StrCat("{\"override\":", json, "}");
  if (!google::protobuf::util::JsonStringToMessage(text, &request).ok()) return {};
  return {request.override().begin(), request.override().end()};
}

v1::Session SessionMessage(const store::Session& s) {
  v1::Session m;
  m.set_run_id(s.run_id);
  m.set_bucket_min(s.range.min);
  m.set_bucket_max(s.range.max);
  m.set_owner_host(s.owner_host);
  m.set_change_ref(s.change_ref);
  // What was stored was printed by the same library; an unreadable value reads as none.
  if (!google::protobuf::util::JsonStringToMessage(s.metadata_json, m.mutable_metadata()).ok()) {
    m.clear_metadata();
  }
  m.set_state(s.state);
  m.set_sequence(s.sequence);
  m.set_consumer(s.consumer);
  m.set_close_reason(s.close_reason);
  SetTime(m.mutable_created_at(), s.created_at_ms);
  SetTime(m.mutable_updated_at(), s.updated_at_ms);
  if (s.closed_at_ms != 0) SetTime(m.mutable_closed_at(), s.closed_at_ms);
  return m;
}

v1::Checkpoint CheckpointMessage(const store::Checkpoint& c) {
  v1::Checkpoint m;
  m.set_ordinal(c.ordinal);
  m.set_run_id(c.run_id);
  m.set_kind(c.kind);
  m.set_note(c.note);
  m.set_bucket_min(c.range.min);
  m.set_bucket_max(c.range.max);
  m.set_owner_host(c.owner_host);
  m.set_job_id(c.job_id);
  m.set_consumer(c.consumer);
  SetTime(m.mutable_created_at(), c.created_at_ms);
  return m;
}

v1::Notification NotificationMessage(const store::Notification& n) {
  v1::Notification m;
  m.set_notification_id(n.notification_id);
  m.set_event_id(n.event_id);
  m.set_site_id(n.site_id);
  m.set_blog_id(n.blog_id);
  m.set_url(n.url);
  m.set_bucket(n.bucket);
  m.set_kind(n.kind);
  m.set_state(n.state);
  m.set_attempts(static_cast<uint32_t>(n.attempts));
  SetTime(m.mutable_created_at(), n.created_at_ms);
  if (n.sent_at_ms != 0) SetTime(m.mutable_sent_at(), n.sent_at_ms);
  if (n.delivered_at_ms != 0) SetTime(m.mutable_delivered_at(), n.delivered_at_ms);
  return m;
}

v1::Job JobMessage(const store::Job& j) {
  v1::Job m;
  m.set_job_id(j.job_id);
  m.set_operation(j.operation);
  m.set_run_id(j.run_id);
  m.set_bucket_min(j.range.min);
  m.set_bucket_max(j.range.max);
  m.set_owner_host(j.owner_host);
  m.set_state(j.state);
  m.set_done(j.done);
  m.set_total(j.total);
  m.set_cursor(j.cursor);
  m.set_attempt(j.attempt);
  m.set_error(j.error);
  m.set_epoch(j.epoch);
  m.set_cancel_requested(j.cancel_requested);
  SetTime(m.mutable_created_at(), j.created_at_ms);
  if (j.started_at_ms != 0) SetTime(m.mutable_started_at(), j.started_at_ms);
  if (j.finished_at_ms != 0) SetTime(m.mutable_finished_at(), j.finished_at_ms);
  return m;
}

v1::Finding MakeFinding(std::string code, std::string text, std::string action) {
  v1::Finding f;
  f.set_code(std::move(code));
  f.set_text(std::move(text));
  f.set_action(std::move(action));
  return f;
}

std::string SecondsText(std::chrono::milliseconds d) {
  return absl::StrCat(static_cast<double>(d.count()) / 1000, " s");
}

v1::OperationResponse Head(std::string_view operation, std::string_view run_id, store::Range range,
                           std::string_view owner_host) {
  v1::OperationResponse r;
  r.set_operation(std::string(operation));
  r.set_run_id(std::string(run_id));
  r.set_bucket_min(range.min);
  r.set_bucket_max(range.max);
  r.set_owner_host(std::string(owner_host));
  return r;
}

void WarnOfSample(uint64_t asked, uint64_t active, uint64_t skipped, const char* done,
                  v1::OperationResponse* answer) {
  if (active == 0) {
    *answer->add_warnings() =
        MakeFinding("empty_range", "the range has no active site", "check the range");
  } else if (asked > active) {
    *answer->add_warnings() =
        MakeFinding("sample_is_all",
                    absl::StrCat("the range has ", active, " active sites; all were taken"), "");
  }
  if (skipped == 0) return;
  *answer->add_warnings() =
      MakeFinding("sites_skipped",
                  absl::StrCat(skipped, " sites were not ", done,
                               ": target safety refuses them, or an address of theirs"),
                  "see preflight");
}

void SetStatusByBlockers(v1::OperationResponse* response) {
  response->set_status(response->blockers().empty() ? "ok" : "blocked");
}

bool AwaitsDecision(const store::Job& j) {
  // What another operation keeps there is its own.
  return j.operation == "release_buckets" && j.state == store::job_state::kRunning &&
         !j.progress.empty();
}

v1::OperationResponse JobResponse(const store::Job& j) {
  v1::OperationResponse r;
  const bool awaits = AwaitsDecision(j);
  const std::string& answer = awaits ? j.progress : j.result;
  const bool stored = !answer.empty() && r.ParseFromString(answer);
  if (!stored) r = Head(j.operation, j.run_id, j.range, j.owner_host);
  *r.mutable_job() = JobMessage(j);
  r.set_job_id(j.job_id);
  r.set_status_url(absl::StrCat("/api/v1/rollout/jobs/", j.job_id));
  if (awaits && stored) {
    r.set_status("blocked");
  } else if (!store::IsFinished(j.state)) {
    r.set_status("running");
    r.set_summary(absl::StrCat(j.operation, " is ", j.state, ", ", j.done, " of ", j.total));
  } else if (j.state == store::job_state::kCompleted) {
    r.set_status("ok");
  } else {
    r.set_status("blocked");
    if (r.blockers().empty()) {
      *r.add_blockers() =
          MakeFinding(absl::StrCat("job_", j.state),
                      j.error.empty() ? absl::StrCat("the job is ", j.state) : j.error,
                      "read the job, then plan again");
    }
  }
  return r;
}

}  // namespace jetmon::rollout
