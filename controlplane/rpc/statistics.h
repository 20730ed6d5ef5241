#ifndef JETMON_CONTROLPLANE_RPC_STATISTICS_H_
#define JETMON_CONTROLPLANE_RPC_STATISTICS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace jetmon::rpc {

// Counts of calls by method and outcome, and their time. Thread-safe. Its size is bounded by the
// methods and the reasons there are.
class Statistics {
 public:
  // `method` a feature name ("RolloutService/Seed") or "none" for what was no call; `outcome` "ok"
  // or an error's reason.
  void Record(std::string_view method, std::string_view outcome, std::chrono::nanoseconds took);
  void CallBegins();
  void CallEnds();
  // A figure that somebody else keeps, read when asked for; before serving starts. `name` such as
  // "jetmon_audit_failures_total".
  void AddSource(std::string name, std::string help, std::function<uint64_t()> read);

  uint64_t Count(std::string_view method, std::string_view outcome) const;
  // Prometheus' text format 0.0.4.
  std::string ToPrometheus() const;

 private:
  struct Cell {
    uint64_t count = 0;
    double seconds = 0;
  };
  struct Source {
    std::string name, help;
    std::function<uint64_t()> read;
  };
  mutable std::mutex mu_;
  std::map<std::pair<std::string, std::string>, Cell> cells_;
  int64_t in_flight_ = 0;
  std::vector<Source> sources_;
};

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_STATISTICS_H_
