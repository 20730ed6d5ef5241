#ifndef JETMON_CONFIRM_CLIENT_H_
#define JETMON_CONFIRM_CLIENT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "clock/deadline_budget.h"

// Asks Verifliers (VeriflierService) for Monitors and control plane.
namespace jetmon::confirm {

// The protocol that this build speaks with Verifliers.
inline constexpr uint32_t kProtocol = 1;

// Where an agent can be asked, and for how long a check at most.
struct Endpoint {
  // Not explicit: an address alone is an endpoint whose agent does not say what it makes.
  Endpoint(std::string a, DeadlineBudget b = DeadlineBudget::Announced(0))
      : address(std::move(a)), budget(b) {}
  std::string address;  // host:port
  DeadlineBudget budget;
};

// Whom to ask.
struct Vantage {
  std::string vantage_id;
  std::string token_hash;           // SHA-256 hex of its token, as the registry stores it
  std::vector<Endpoint> endpoints;  // the best first
};

// What the profile full asks beyond simple_http; bounds as in probe::FullRules.
struct Rules {
  std::string keyword;
  std::vector<std::string> forbidden_keywords;
  std::string redirect_policy = "follow";                    // follow, alert, fail
  std::vector<std::pair<std::string, std::string>> headers;  // names and values
};

struct Question {
  uint64_t site_id = 0, blog_id = 0;
  std::string url;
  std::string method = "HEAD";     // HEAD, GET
  std::string profile = "legacy";  // legacy, simple_http, full
  std::chrono::milliseconds timeout = DeadlineBudget::kDefaultCheck;
  std::string request_id;
  std::shared_ptr<const Rules> rules;  // null: none

  // About as many bytes as it is when it is sent.
  size_t size() const;
};

// A Veriflier takes 1 MiB a call. Who asks about many sites with long rules asks in several calls.
inline constexpr size_t kMostQuestionBytes = 512 << 10;

struct Answer {
  uint64_t site_id = 0;
  std::string vantage_id, agent_id, request_id;
  // up, down, timeout, probe_error, agent_overloaded, unknown. `unknown` also when no answer came.
  std::string outcome = "unknown";
  int http_code = 0, error_code = 0;
  std::string failure_class, error;
  uint64_t total_us = 0;
};

struct Facts {
  std::string vantage_id, agent_id, build, trust;
  uint32_t protocol_min = 0, protocol_max = 0;
  uint32_t in_flight = 0, queue_depth = 0;
  DeadlineBudget budget;  // of its longest check
};

// Asks over gRPC; keeps a channel an endpoint (at most 1,000). Thread-safe. The destructor cancels
// what is under way and waits until every callback has been called.
class Client {
 public:
  // Of whoever asks: no call lasts longer than its round.
  explicit Client(DeadlineBudget budget = DeadlineBudget());
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Asks one vantage about at most 500 sites, of kMostQuestionBytes and one question at most. Its
  // endpoints are tried in order while the deadline (at most the budget's round) allows: what one
  // leaves unanswered, or answers with agent_overloaded, is asked of the next. An endpoint whose
  // checks are shorter than a question's timeout is not asked it: an old one would cut the check
  // without a word, and call a slow site silent. `done` is called once, on a thread of gRPC's, with
  // one answer a question in the order asked; it must not block.
  void CheckSites(const Vantage& vantage, std::vector<Question> questions,
                  std::chrono::milliseconds deadline,
                  std::function<void(std::vector<Answer>)> done);

  // Asks the first endpoint that answers who it is. `done` as above. Unavailable when none answers,
  // PermissionDenied when one refuses the credential.
  void GetStatus(const Vantage& vantage, std::chrono::milliseconds deadline,
                 std::function<void(absl::StatusOr<Facts>)> done);

  // Cancels every call that is under way; their callbacks come soon, with what was answered.
  void CancelAll();

 private:
  class Calls;
  const DeadlineBudget budget_;
  std::shared_ptr<Calls> calls_;
};

}  // namespace jetmon::confirm

#endif  // JETMON_CONFIRM_CLIENT_H_
