#ifndef JETMON_TESTS_LAB_V1_WORLD_H_
#define JETMON_TESTS_LAB_V1_WORLD_H_

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "tests/lab/http_client.h"
#include "tests/lab/legacy_table.h"
#include "tests/lab/line_log.h"
#include "tests/lab/v1/host.h"
#include "tests/lab/v1/pool.h"
#include "tests/lab/v1/replica.h"

namespace jetmon::lab {

// The world of the v1 hosts of one process: a database, the sites, a receiver, and a log of what
// was read and told. With a lag, a thread keeps reading the table, and reads are answered by that.
class RealV1World final : public V1World {
 public:
  struct Settings {
    uint32_t bucket_total = 512;
    std::chrono::milliseconds check_limit{2'000}, tell_limit{20'000}, replica_lag{0};
    HttpUrl receiver;
    std::string source, token;  // of tells
    int workers = 32, tellers = 32;
  };
  RealV1World(Settings settings, std::unique_ptr<LegacyTable> table, std::unique_ptr<LineLog> log);
  ~RealV1World() override { Close(); }
  // The first reading of the replica is there. An error if the table can't be read.
  absl::Status Open();
  // Ends the threads; waits for what is under way.
  void Close();

  int64_t NowMs() override;
  void PostCheck(std::function<void()> job) override { checks_.Post(std::move(job)); }
  void PostTell(std::function<void()> job) override { tells_.Post(std::move(job)); }
  absl::StatusOr<std::vector<LegacyRow>> Read(BucketRange range) override;
  int Check(const std::string& url, const std::string& source) override;
  void WriteStatus(const LegacyRow& row, int status) override;
  bool Tell(const V1Tell& tell, int attempt) override;

  // A line of this kind, begun with both times.
  static JsonLine Line(absl::string_view kind);
  void Log(const JsonLine& line);

 private:
  absl::Status Follow();

  const Settings settings_;
  const std::unique_ptr<LegacyTable> table_;
  const std::unique_ptr<LineLog> log_;
  Replica replica_;
  std::atomic<bool> closing_{false};
  std::thread follower_;
  Pool checks_, tells_;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_WORLD_H_
