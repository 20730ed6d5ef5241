#ifndef JETMON_TESTS_LAB_V1_FLEET_H_
#define JETMON_TESTS_LAB_V1_FLEET_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/lab/http_server.h"
#include "tests/lab/v1/host.h"
#include "tests/lab/v1/world.h"

namespace jetmon::lab {

// MIN and MAX of a range of so many buckets.
absl::StatusOr<BucketRange> ParseBuckets(const std::string& min, const std::string& max,
                                         uint32_t bucket_total);

// The v1 hosts of one process, and what drives and controls them. A host is named by its range; one
// request may be for several hosts, but for none in part.
class V1Fleet {
 public:
  // `pattern` has all but the range of each host.
  V1Fleet(V1Config pattern, uint32_t bucket_total, std::unique_ptr<RealV1World> world);
  ~V1Fleet();
  absl::Status Start(BucketRange range, uint32_t batch_size);
  // Drives the hosts from now on.
  void Run();
  // POST /start, /stop, /kill, /hup and /stray with ?min=&max=; GET /status.
  HttpAnswer Control(const HttpRequest& request);

 private:
  using Hosts = std::vector<std::shared_ptr<V1Host>>;
  absl::Status Order(const std::string& what, BucketRange range, const HttpRequest& request);
  absl::Status StartBy(BucketRange range, const HttpRequest& request);
  absl::Status Hup(const Hosts& hosts, const HttpRequest& request);
  // The hosts within a range; FailedPrecondition if one is in it by half.
  absl::StatusOr<Hosts> Within(BucketRange range);
  Hosts All();
  // Takes out those that ended; who left is logged.
  void Sweep();
  void LogRange(const char* kind, BucketRange range, const std::string& how);
  std::string StatusText();

  const V1Config pattern_;
  const uint32_t bucket_total_;
  const std::unique_ptr<RealV1World> world_;
  std::mutex mutex_;
  Hosts hosts_;
  std::atomic<bool> closing_{false};
  std::thread conductor_;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_FLEET_H_
