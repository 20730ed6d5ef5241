#include "cli/guided.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "store/ids.h"

namespace jetmon::cli {
namespace {

// What Ctrl-C prints; made before the handler is installed, because a handler may not allocate.
char interrupt_text[1024];

void OnInterrupt(int) {
  const ssize_t ignored = write(STDERR_FILENO, interrupt_text, strlen(interrupt_text));
  _exit(ignored < 0 ? kFailed : kFailed);
}

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return kOk;
  if (absl::IsFailedPrecondition(status)) return kBlocked;
  if (absl::IsAborted(status)) return kRefused;
  return kFailed;
}

}  // namespace

Guided::Guided(GuidedOptions options, Connection connection)
    : options_(std::move(options)),
      client_(connection),
      confirmations_(options_.confirm_file.empty() ? FromStandardInput()
                                                   : FromFile(options_.confirm_file)),
      connection_(std::move(connection)) {}

Guided::~Guided() {
  if (transcript_ != nullptr) fclose(transcript_);
}

int Guided::Run() {
  const std::vector<Step> steps = options_.rollback ? RollbackSteps() : ForwardSteps();
  if (options_.dry_run) {
    PrintPlan(steps);
    return kOk;
  }
  if (const int code = Begin(); code != kOk) return code;
  return RunSteps(steps);
}

std::vector<Guided::Step> Guided::ForwardSteps() {
  const std::string range = RangeText();
  std::vector<Step> steps = {
      {"health", "Is the control plane up, and its database?", [this] { return Health(); }, ""},
      {"identity", "Which key is this, and may it change a rollout?", [this] { return Identity(); },
       ""},
      {"capabilities", "What can this control plane do?", [this] { return Capabilities(); }, ""},
      {"session", "Open a session: the record of this rollout.", [this] { return Session(); }, ""},
      {"preflight", "Could this range be handed over now? Nothing is changed.",
       [this] { return Preflight(); }, ""},
      {"smoke", "Probe a sample of the sites, read-only.", [this] { return Smoke(); }, ""}};
  if (options_.include_comparison) {
    steps.push_back({"comparison",
                     "Probe the same sites with head-legacy and get-simple, read-only: what would "
                     "another way of checking say? It blocks nothing.",
                     [this] { return Compare(); }, ""});
  }
  AddPlanned(&steps, "seed", "/api/v1/rollout/seed", "EXECUTE SEED",
             "write v2's own tables for the range and take over what v1 has open, silently");
  steps.push_back({"v1-stopped",
                   "Stop v1 for buckets " + range +
                       " now, wait until it has stopped, then say so. Stopped means that its whole "
                       "process group and its supervisor are gone: after a SIGHUP v1 still reads "
                       "and tells. From here until the activation nobody checks these sites.",
                   [this, range] { return Checkpoint("V1 STOPPED " + range); },
                   "V1 STOPPED " + range});
  AddPlanned(&steps, "reconcile", "/api/v1/rollout/final-reconcile", "EXECUTE RECONCILE",
             "take over what changed until v1 stopped");
  AddPlanned(&steps, "activate", "/api/v1/rollout/activate-buckets", "ACTIVATE " + range,
             "give the range to " + options_.owner_host);
  steps.push_back({"acknowledged", "Has the Monitor acknowledged the range?",
                   [this] { return Acknowledged(); }, ""});
  steps.push_back({"status", "Who owns what now.", [this] { return Status(false); }, ""});
  steps.push_back({"coverage", "Is every bucket of the range active under its owner?",
                   [this] { return Gate("bucket-coverage", "coverage", false); }, ""});
  steps.push_back({"activity", "Is every site of the range being checked in time?",
                   [this] { return Gate("activity-check", "activity", true); }, ""});
  steps.push_back({"drift", "Does the legacy table say what the incidents say?",
                   [this] { return Gate("projection-drift", "drift", false); }, ""});
  return steps;
}

std::vector<Guided::Step> Guided::RollbackSteps() {
  std::vector<Step> steps = {
      {"health", "Is the control plane up, and its database?", [this] { return Health(); }, ""},
      {"identity", "Which key is this, and may it change a rollout?", [this] { return Identity(); },
       ""},
      {"capabilities", "What can this control plane do?", [this] { return Capabilities(); }, ""},
      {"session", "Find the run that holds the range.", [this] { return Session(); }, ""}};
  AddPlanned(&steps, "release", "/api/v1/rollout/release-buckets", "RELEASE " + RangeText(),
             "let the Monitor drain the buckets and give them back to v1");
  steps.push_back({"drained", "Is the range v1's again?", [this] { return Drained(); }, ""});
  steps.push_back({"status", "Who owns what now.", [this] { return Status(true); }, ""});
  return steps;
}

void Guided::AddPlanned(std::vector<Step>* steps, const std::string& name, const std::string& path,
                        const std::string& phrase, const std::string& what) {
  steps->push_back({name + "-plan", "Plan: " + what + ". Nothing is changed yet.",
                    [this, name, path] { return Plan(name, path); }, ""});
  steps->push_back({name, "Execute: " + what + ".",
                    [this, name, path, phrase] { return Execute(name, path, phrase); }, phrase});
}

void Guided::PrintPlan(const std::vector<Step>& steps) {
  printf("Guided %s of buckets %s, %zu steps; this dry run contacts nothing.\n",
         options_.rollback ? "rollback" : "rollout", RangeText().c_str(), steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    printf("%3zu. %-15s %s\n", i + 1, steps[i].name.c_str(), steps[i].explanation.c_str());
    if (!steps[i].phrase.empty()) printf("     you type: %s\n", steps[i].phrase.c_str());
  }
  printf("State and transcript are kept in %s; after an interruption: %s\n",
         options_.log_dir.c_str(), ResumeCommand().c_str());
}

int Guided::Begin() {
  if (!options_.confirm_file.empty() && !IsLoopback(connection_.base_url)) {
    fprintf(stderr,
            "jetmon2: --confirm-file is for rehearsals on this machine; %s is another one\n",
            connection_.base_url.c_str());
    return kUsage;
  }
  absl::Status status = MakeFolder(options_.log_dir);
  const std::string path =
      options_.log_dir + "/" +
      GuidedState::FileName(options_.bucket_min, options_.bucket_max, options_.rollback);
  if (status.ok() && options_.resume) {
    auto state = GuidedState::Load(path);
    status = state.status();
    if (state.ok()) state_ = std::move(*state);
  } else if (status.ok()) {
    state_ = GuidedState::New(path);
    status = state_->Set("nonce", store::RandomHex(8));
  }
  if (status.ok()) {
    const std::string log = path.substr(0, path.size() - strlen(".json")) + ".log";
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) transcript_ = fdopen(fd, "a");
    if (transcript_ == nullptr) status = absl::InternalError("can't write " + log);
  }
  if (!status.ok()) {
    fprintf(stderr, "jetmon2: %s\n", std::string(status.message()).c_str());
    return kFailed;
  }
  snprintf(interrupt_text, sizeof(interrupt_text),
           "\ninterrupted; nothing is lost. Go on with: %s\n", ResumeCommand().c_str());
  signal(SIGINT, OnInterrupt);
  return kOk;
}

int Guided::RunSteps(const std::vector<Step>& steps) {
  Say(absl::StrCat("Guided ", options_.rollback ? "rollback" : "rollout", " of buckets ",
                   RangeText(), options_.resume ? ", resumed" : "", ", ",
                   absl::FormatTime(absl::Now(), absl::UTCTimeZone())));
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    if (state_->IsDone(step.name)) {
      Say(absl::StrCat("[", i + 1, "/", steps.size(), "] ", step.name, ": done before"));
      continue;
    }
    Say(absl::StrCat("[", i + 1, "/", steps.size(), "] ", step.name, ": ", step.explanation));
    absl::Status status = step.run();
    bar_.End();
    if (status.ok()) status = state_->MarkDone(step.name);
    if (!status.ok()) {
      Say(absl::StrCat("Stopped at ", step.name, ": ", status.message()));
      Say("Go on with: " + ResumeCommand());
      return ExitCodeOf(status);
    }
  }
  Say(options_.rollback
          ? absl::StrCat("Done: buckets ", RangeText(),
                         " are v1's. Record the checkpoint v1_started, then start v1:\n  jetmon2 "
                         "api rollout checkpoint --run-id ",
                         state_->Get("run_id"), " --kind v1_started --bucket-min ",
                         options_.bucket_min, " --bucket-max ", options_.bucket_max)
          : absl::StrCat("Done: buckets ", RangeText(), " are checked by ", options_.owner_host,
                         ", run ", state_->Get("run_id")));
  return kOk;
}

absl::Status Guided::Confirm(const std::string& phrase) {
  bar_.End();
  Say("Type exactly: " + phrase);
  auto line = confirmations_->NextLine();
  if (!line.ok()) return absl::AbortedError(line.status().message());
  if (*line != phrase) {
    return absl::AbortedError(absl::StrCat("'", *line, "' is not '", phrase, "'; not confirmed"));
  }
  Say("confirmed: " + phrase);
  return absl::OkStatus();
}

void Guided::Say(const std::string& text) {
  bar_.End();
  printf("%s\n", text.c_str());
  fflush(stdout);
  if (transcript_ == nullptr) return;
  const std::string at = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone());
  fprintf(transcript_, "%s %s\n", at.c_str(), text.c_str());
  fflush(transcript_);
}

std::string Guided::RangeText() const {
  return absl::StrCat(options_.bucket_min, "-", options_.bucket_max);
}

Json Guided::RangeBody() const {
  Json body;
  body.Set("bucket_min", static_cast<double>(options_.bucket_min));
  body.Set("bucket_max", static_cast<double>(options_.bucket_max));
  return body;
}

std::string Guided::ResumeCommand() const {
  return absl::StrCat("jetmon2 api rollout guided", options_.rollback ? " --rollback" : "",
                      " --bucket-min ", options_.bucket_min, " --bucket-max ", options_.bucket_max,
                      options_.owner_host.empty() ? "" : " --owner-host " + options_.owner_host,
                      options_.canaries_file.empty() ? "" : " --canaries " + options_.canaries_file,
                      options_.include_comparison ? " --include-comparison" : "", " --log-dir ",
                      options_.log_dir, " --resume");
}

}  // namespace jetmon::cli
