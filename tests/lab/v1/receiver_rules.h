#ifndef JETMON_TESTS_LAB_V1_RECEIVER_RULES_H_
#define JETMON_TESTS_LAB_V1_RECEIVER_RULES_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace jetmon::lab {

// What somebody was told: "this site of this blog is down (0), up (1), still down (2)".
struct Told {
  std::string sender;  // v1 or v2
  std::string id;      // of v2's; v1 has none
  uint64_t blog_id = 0;
  std::string url;
  int status = 0;
};

// Of a request: v1's is GET /jetmon/?data=JSON, v2's a POST whose idempotency key is its id.
// InvalidArgument for anything else.
absl::StatusOr<Told> ParseTold(const std::string& method, const std::string& path,
                               const std::string& query, const std::string& idempotency_key,
                               const std::string& body);

// How the receiver treats what it takes.
struct ReceiverHabits {
  uint64_t seed = 1;
  std::chrono::milliseconds delay_min{0}, delay_max{20'000};  // until it writes
  // Of each tell, how probable it is (0 to 1).
  double never_writes = 0, writes_twice = 0, answers_slowly = 0, answers_error = 0, closes = 0;
  std::chrono::milliseconds slow{5'000};  // an answer that is slow
};

// What becomes of one tell. Whatever the answer, it was taken: people are told.
struct Treatment {
  enum class Answer { kOk, kSlow, kError, kClose, kSilent };
  bool repeat = false;                            // an id that was there before
  std::vector<std::chrono::milliseconds> writes;  // after so long each
  Answer answer = Answer::kOk;
};

// "ok", "slow", "error", "silent"; nullopt: another word.
std::optional<Treatment::Answer> ParseAnswer(const std::string& word);

// Decides, by its seed alone: the nth tell is treated the same in each run, whoever sends it. A
// repeat is written by nobody: the first one was taken.
class ReceiverRules {
 public:
  explicit ReceiverRules(const ReceiverHabits& habits) : habits_(habits), random_(habits.seed) {}
  Treatment Take(const Told& told);
  // From now on every answer is this one; kOk: as the habits say.
  void Force(Treatment::Answer answer) { forced_ = answer; }

 private:
  double Draw();  // 0 <= x < 1

  const ReceiverHabits habits_;
  std::mt19937_64 random_;
  std::set<std::string> ids_;
  Treatment::Answer forced_ = Treatment::Answer::kOk;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_RECEIVER_RULES_H_
