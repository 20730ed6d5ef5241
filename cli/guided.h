#ifndef JETMON_CLI_GUIDED_H_
#define JETMON_CLI_GUIDED_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/api_client.h"
#include "cli/guided_state.h"
#include "cli/terminal.h"

namespace jetmon::cli {

struct GuidedOptions {
  uint32_t bucket_min = 0, bucket_max = 0;
  std::string owner_host;
  std::string change_ref;
  std::string run_id;  // goes on in an open session of this id; "" = a new one
  bool rollback = false;
  bool dry_run = false;
  bool resume = false;
  std::string log_dir = "jetmon2-rollout";
  std::string confirm_file;  // "" = standard input
  std::string smoke_mode = "head-legacy";
  std::string smoke_sample_size;  // "" = the server's default
  std::string canaries_file;      // "" = none; `canaries` is what it holds
  Json canaries;
  bool include_comparison = false;
};

// A guided rollout, or rollback, of one range: a list of steps, each of which can be done again
// after it was interrupted. What is done is kept in GuidedState; everything shown is written to a
// transcript too. Lost answers are asked for again with the same idempotency key.
class Guided {
 public:
  Guided(GuidedOptions options, Connection connection);
  ~Guided();
  // Runs all steps that are not done yet. The exit code of the command.
  int Run();

 private:
  // A step's outcome: OK; FailedPrecondition = blocked gate; Aborted = refused confirmation;
  // anything else failed. The text has been shown by then.
  struct Step {
    std::string name;
    std::string explanation;
    std::function<absl::Status()> run;
    std::string phrase;  // what it asks the operator to type, for --dry-run; "" = nothing
  };

  std::vector<Step> ForwardSteps();
  std::vector<Step> RollbackSteps();
  void AddPlanned(std::vector<Step>* steps, const std::string& name, const std::string& path,
                  const std::string& phrase, const std::string& what);
  void PrintPlan(const std::vector<Step>& steps);
  int Begin();
  int RunSteps(const std::vector<Step>& steps);

  absl::Status Health();
  absl::Status Identity();
  absl::Status Capabilities();
  absl::Status Session();
  // Finds the run that holds the range, and says what its owner keeps.
  absl::Status FindRun(std::string* run_id);
  absl::Status Preflight();
  absl::Status Smoke();
  absl::Status Compare();
  absl::Status Plan(const std::string& name, const std::string& path);
  absl::Status Execute(const std::string& name, const std::string& path, const std::string& phrase);
  absl::Status Checkpoint(const std::string& phrase);
  absl::Status Acknowledged();
  absl::Status Drained();
  absl::Status Status(bool released);
  absl::Status Gate(const std::string& path, const std::string& title, bool wait_until_due);

  // Shows text and writes it to the transcript.
  void Say(const std::string& text);
  void SayFindings(const Json& answer);
  absl::Status Confirm(const std::string& phrase);
  // Sends; while the server can't be reached, tries again for a while. An error answer becomes a
  // status whose text is the error's.
  absl::StatusOr<Json> Call(Request request, std::string* error_code = nullptr);
  absl::StatusOr<Json> Get(const std::string& path,
                           std::vector<std::pair<std::string, std::string>> query = {});
  absl::StatusOr<Json> WaitForJob(const std::string& job_id, const std::string& what);
  // Sends an operation of this run that is not planned, and concludes.
  absl::Status Ask(const std::string& operation, Json body, const std::string& what);
  // Shows the answer of an operation, waits for its job, and judges its end.
  absl::Status Conclude(const Json& answer, const std::string& what);
  std::string RangeText() const;
  Json RangeBody() const;
  std::string ResumeCommand() const;

  const GuidedOptions options_;
  ApiClient client_;
  std::unique_ptr<Confirmations> confirmations_;
  std::unique_ptr<GuidedState> state_;
  ProgressBar bar_;
  FILE* transcript_ = nullptr;
  const Connection connection_;
};

}  // namespace jetmon::cli

#endif  // JETMON_CLI_GUIDED_H_
