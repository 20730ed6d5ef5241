#include "controlplane/rpc/statistics.h"

#include "absl/strings/str_cat.h"

namespace jetmon::rpc {
namespace {

void Header(std::string& out, std::string_view name, std::string_view help, std::string_view type) {
  out.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
  out.append(name).append(" ").append(type).append("\n");
}

}  // namespace

void Statistics::Record(std::string_view method, std::string_view outcome,
                        std::chrono::nanoseconds took) {
  std::lock_guard lock(mu_);
  Cell& cell = cells_[{std::string(method), std::string(outcome)}];
  ++cell.count;
  cell.seconds += static_cast<double>(took.count()) / 1e9;
}

void Statistics::CallBegins() {
  std::lock_guard lock(mu_);
  ++in_flight_;
}

void Statistics::CallEnds() {
  std::lock_guard lock(mu_);
  --in_flight_;
}

void Statistics::AddSource(std::string name, std::string help, std::function<uint64_t()> read) {
  std::lock_guard lock(mu_);
  sources_.push_back({std::move(name), std::move(help), std::move(read)});
}

uint64_t Statistics::Count(std::string_view method, std::string_view outcome) const {
  std::lock_guard lock(mu_);
  const auto it = cells_.find({std::string(method), std::string(outcome)});
  return it == cells_.end() ? 0 : it->second.count;
}

std::string Statistics::ToPrometheus() const {
  std::lock_guard lock(mu_);
  std::string out;
  const auto labels = [](const auto& key) {
    return absl::StrCat("{method=\"", key.first, "\",outcome=\"", key.second, "\"} ");
  };
  Header(out, "jetmon_calls_total", "Calls answered.", "counter");
  for (const auto& [key, cell] : cells_) {
    absl::StrAppend(&out, "jetmon_calls_total", labels(key), cell.count, "\n");
  }
  Header(out, "jetmon_call_seconds_total", "Time that the answered calls took, seconds.",
         "counter");
  for (const auto& [key, cell] : cells_) {
    absl::StrAppend(&out, "jetmon_call_seconds_total", labels(key), cell.seconds, "\n");
  }
  Header(out, "jetmon_calls_in_flight", "Calls under way.", "gauge");
  absl::StrAppend(&out, "jetmon_calls_in_flight ", in_flight_, "\n");
  for (const Source& source : sources_) {
    Header(out, source.name, source.help, "counter");
    absl::StrAppend(&out, source.name, " ", source.read(), "\n");
  }
  return out;
}

}  // namespace jetmon::rpc
