#ifndef JETMON_PROBE_HOSTILE_CASE_H_
#define JETMON_PROBE_HOSTILE_CASE_H_

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "probe/engine.h"
#include "probe/engine_fixture.h"
#include "probe/hostile_fixture.h"

// What the tests of hostile servers share.
namespace jetmon::probe {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAsan = true;
#else
inline constexpr bool kAsan = false;
#endif

inline constexpr std::array kModes = {"head-legacy", "head-simple", "get-legacy", "get-simple",
                                      "get-full"};

// What a check came to.
struct Said {
  Outcome outcome = Outcome::kUp;
  ErrorCode error_code = ErrorCode::kNone;
  std::string failure_class;
  int http_code = 0;
  friend bool operator==(const Said&, const Said&) = default;
};
std::ostream& operator<<(std::ostream& out, const Said& said);
Said SaidBy(const CheckResult& result);

inline Said Up(int http_code) { return {Outcome::kUp, ErrorCode::kNone, "success", http_code}; }
// Without a code of its own it is "intermittent".
inline Said Broken(ErrorCode error_code, int http_code = 0) {
  return {Outcome::kDown, error_code, "intermittent", http_code};
}
inline Said TimedOut(int http_code = 0) { return Broken(ErrorCode::kTimeout, http_code); }
inline Said NoAnswer() { return Broken(ErrorCode::kConnect); }
inline Said BadBody(int http_code = 200) { return Broken(ErrorCode::kBodyRead, http_code); }
inline Said BadTls(ErrorCode error_code = ErrorCode::kTls) {
  return {Outcome::kDown, error_code, "https", 0};
}
inline Said ByCode(int http_code, std::string failure_class) {
  return {Outcome::kDown, ErrorCode::kNone, std::move(failure_class), http_code};
}
inline Said BadRedirect(int http_code) {
  return {Outcome::kDown, ErrorCode::kRedirect, "redirect", http_code};
}
inline Said NoKeyword(int http_code = 200) {
  return {Outcome::kDown, ErrorCode::kKeyword, "keyword_missing", http_code};
}
inline Said Forbidden(int http_code = 200) {
  return {Outcome::kDown, ErrorCode::kKeyword, "keyword_forbidden", http_code};
}
inline Said Unsafe() { return {Outcome::kSafety, ErrorCode::kTargetSafety, "", 0}; }

// In the order of kModes.
using Verdicts = std::array<Said, kModes.size()>;
inline Verdicts Always(const Said& s) { return {s, s, s, s, s}; }
inline Verdicts ByProfile(const Said& legacy, const Said& simple, const Said& full) {
  return {legacy, simple, legacy, simple, full};
}
// Wrong in the body only: HEAD does not see it, and nobody but full minds.
inline Verdicts ByBody(const Said& up, const Said& full) { return {up, up, up, up, full}; }

struct Ended {
  CheckResult result;
  std::chrono::nanoseconds took{0};  // from Submit to done
};

// Runs all at once and waits for all. What the machine paused is run again, since it tells nothing.
std::vector<Ended> RunAll(Engine& engine, const std::vector<CheckRequest>& requests);

// A check of the URL in each of kModes, in their order.
std::vector<CheckRequest> InAllModes(const std::string& url, std::chrono::milliseconds timeout);
// Holds what such checks came to against what it should be, and that each ended within `slack`.
void ExpectSaid(const std::string& what, const std::vector<Ended>& ended, const Verdicts& verdicts,
                std::chrono::nanoseconds slack);

// A listening socket that nobody has business with.
class Tripwire {
 public:
  // `port` 0: any. A failure of the test if it can't listen there.
  explicit Tripwire(const std::string& address, uint16_t port = 0);
  ~Tripwire();
  Tripwire(const Tripwire&) = delete;
  Tripwire& operator=(const Tripwire&) = delete;
  uint16_t port() const { return port_; }
  bool Touched() const;

 private:
  int fd_ = -1;
  uint16_t port_ = 0;
};

// An IPv4 port whose queue of connections is full and never emptied: a connect hangs.
class FullBacklog {
 public:
  explicit FullBacklog(const std::string& address = "127.0.0.1", uint16_t port = 0);
  ~FullBacklog();
  FullBacklog(const FullBacklog&) = delete;
  FullBacklog& operator=(const FullBacklog&) = delete;
  uint16_t port() const { return port_; }

 private:
  int listener_ = -1;
  uint16_t port_ = 0;
  std::vector<int> fillers_;
};

// Waits for at most ten seconds until this process has no more than `count` open descriptors, since
// a server closes in its own time; how many there are.
size_t AwaitDescriptors(size_t count);

// How much more memory the process had at its worst than at the beginning, in bytes.
class PeakMemory {
 public:
  PeakMemory();
  int64_t growth() const;

 private:
  int64_t before_ = 0;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_HOSTILE_CASE_H_
