// The peers of `tools/bench.sh store`: the same rows read and written by an engine's C API and
// nothing else. Prints as store_bench does.
#include <gflags/gflags.h>

#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "tests/bench/bench_io.h"
#include "tests/bench/legacy_rows.h"
#include "tests/bench/raw.h"

DEFINE_string(sqlite, "", "a database file");
DEFINE_int32(port, 0, "of a MariaDB server on 127.0.0.1");
DEFINE_string(user, "jetmon", "of the server");
DEFINE_string(part, "",
              "load, claim, fence, event, incidents, or script: statements from standard input");
DEFINE_uint64(bucket_max, 511, "the last bucket of the range that is loaded, from 0");
DEFINE_uint64(count, 2000, "how often a single thing is done");
DEFINE_bool(all_active, true, "as store_bench");

namespace jetmon::bench {
namespace {

constexpr uint32_t kBuckets = 512;
constexpr size_t kAtOnce = 500;

std::unique_ptr<Raw> Open() {
  if (!FLAGS_sqlite.empty()) return OpenRawSqlite(FLAGS_sqlite);
  const char* password = getenv("JETMON_DATABASE_PASSWORD");
  return OpenRawMariadb(FLAGS_user, "127.0.0.1", FLAGS_port, password != nullptr ? password : "",
                        "jetmon");
}

int64_t I(uint64_t v) { return static_cast<int64_t>(v); }

class Peer {
 public:
  explicit Peer(Raw& raw) : raw_(raw) {
    fence_ = raw.Prepare(
        "UPDATE jetmon_rollout_bucket_locks SET touched = touched + 1 WHERE bucket_no = ?");
    claim_ = raw.Prepare(
        "UPDATE jetmon_rollout_bucket_locks SET pool = 'api', owner_host = 'peer', epoch = ? WHERE "
        "bucket_no BETWEEN ? AND ? AND pool = 'v1'");
    range_ = raw.Prepare(
        "INSERT INTO jetmon_rollout_range_locks (epoch, bucket_min, bucket_max, owner_host, "
        "owner_instance, state, revision, lease_seq, run_id, activate_job_id, overrides, "
        "granted_at_ms) VALUES (?, ?, ?, 'peer', 'ins', 'preparing', 1, 0, 'rol', 'rjob', '[]', "
        "1)");
    event_ = raw.Prepare(
        "INSERT INTO jetmon_events (blog_id, site_id, bucket_no, check_type, severity, source, "
        "http_code, failure_class, started_at_ms, last_seq, projected_status, projected_change) "
        "VALUES (?, ?, ?, 'http', 3, 'monitor', 500, 'http_status', ?, 1, 0, ?)");
    transition_ = raw.Prepare(
        "INSERT INTO jetmon_event_transitions (event_id, seq, site_id, reason, from_severity, "
        "to_severity, notified, ended, source, epoch, instance, detail, at_ms) VALUES (?, ?, ?, "
        "'opened', 0, 3, 0, 0, 'monitor', 1, 'ins', 'status 500', ?)");
    project_ = raw.Prepare(
        "UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ? WHERE "
        "jetpack_monitor_site_id = ?");
    update_ = raw.Prepare(
        "UPDATE jetmon_events SET severity = ?, notified = 1, last_seq = ?, ended_at_ms = ? WHERE "
        "event_id = ?");
    notify_ = raw.Prepare(
        "INSERT INTO jetmon_notifications (notification_id, event_id, kind, site_id, blog_id, "
        "bucket_no, url, status_id, status_change_ms, checks, state, next_attempt_at_ms, "
        "created_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, 2, ?, '[]', 'queued', 1, 1)");
  }

  void Begin() { raw_.Simple(raw_.begin()); }
  void Commit() { raw_.Simple("COMMIT"); }
  void Fence(uint64_t bucket) { raw_.Run(fence_, {I(bucket)}); }
  void Claim(uint64_t at, uint64_t size) {
    raw_.Run(claim_, {I(1'000'000 + at), I(at), I(at + size - 1)});
    raw_.Run(range_, {I(1'000'000 + at), I(at), I(at + size - 1)});
  }
  int64_t Open(const store::Site& s) {
    raw_.Run(project_, {int64_t{0}, kTime, I(s.site_id)});
    const int64_t id =
        raw_.Run(event_, {I(s.blog_id), I(s.site_id), int64_t{s.bucket}, int64_t{1}, kTime});
    raw_.Run(transition_, {id, int64_t{1}, I(s.site_id), int64_t{1}});
    return id;
  }
  // Confirms (step 1) or ends (step 2) it.
  void Change(const store::Site& s, int64_t id, int64_t step) {
    const bool ends = step == 2;
    raw_.Run(project_, {int64_t{ends ? 1 : 2}, kTime, I(s.site_id)});
    raw_.Run(update_,
             {int64_t{ends ? 0 : 4}, step + 1, ends ? Raw::Value(int64_t{5}) : Raw::Value(), id});
    raw_.Run(transition_, {id, step + 1, I(s.site_id), int64_t{1}});
    const std::string kind = ends ? "up" : "down";
    raw_.Run(notify_, {absl::StrCat("ntf_", id, "_", kind), id, kind, I(s.site_id), I(s.blog_id),
                       int64_t{s.bucket}, s.url, int64_t{1}});
  }

 private:
  const std::string kTime = "2023-11-14 22:13:20";
  Raw& raw_;
  size_t fence_, claim_, range_, event_, transition_, project_, update_, notify_;
};

store::Site SiteOf(uint64_t id) { return LegacyRow(id, {kBuckets, FLAGS_all_active}); }

void Load(Raw& raw) {
  const Stopwatch watch;
  const uint64_t rows = raw.Read(absl::StrCat(
      "SELECT jetpack_monitor_site_id, blog_id, bucket_no, monitor_url, monitor_active, "
      "site_status, last_status_change, check_interval FROM jetpack_monitor_sites WHERE bucket_no "
      "BETWEEN 0 AND ",
      FLAGS_bucket_max, " AND monitor_active = 1"));
  Say("seconds", watch.seconds());
  Say("sites", rows);
}

void Claim(Peer peer) {
  std::vector<double> seconds;
  for (uint64_t at = 0; at < kBuckets; at += 4) {
    const Stopwatch watch;
    peer.Begin();
    peer.Claim(at, 4);
    peer.Commit();
    seconds.push_back(watch.seconds());
  }
  SayLatency("claim", seconds);
}

void Fence(Peer peer) {
  std::vector<double> seconds;
  for (uint64_t i = 0; i < FLAGS_count; ++i) {
    const Stopwatch watch;
    peer.Begin();
    peer.Fence(i % kBuckets);
    peer.Commit();
    seconds.push_back(watch.seconds());
  }
  SayLatency("fence", seconds);
}

void Event(Peer peer) {
  std::vector<double> seconds[3];
  for (uint64_t i = 1; i <= FLAGS_count; ++i) {
    const store::Site site = SiteOf(i * 7);
    int64_t id = 0;
    for (int64_t step = 0; step < 3; ++step) {
      const Stopwatch watch;
      peer.Begin();
      peer.Fence(site.bucket);
      if (step == 0) {
        id = peer.Open(site);
      } else {
        peer.Change(site, id, step);
      }
      peer.Commit();
      seconds[step].push_back(watch.seconds());
    }
  }
  SayLatency("open", seconds[0]);
  SayLatency("confirm", seconds[1]);
  SayLatency("close", seconds[2]);
}

void Burst(Peer peer) {
  const Stopwatch watch;
  uint64_t done = 0;
  for (; done < FLAGS_count; done += kAtOnce) {
    std::vector<store::Site> sites;
    for (size_t i = 0; i < kAtOnce; ++i) sites.push_back(SiteOf(1 + done + i));
    std::vector<int64_t> ids;
    for (int64_t step = 0; step < 3; ++step) {
      peer.Begin();
      for (size_t i = 0; i < kAtOnce; ++i) {
        if (step == 0) {
          ids.push_back(peer.Open(sites[i]));
        } else {
          peer.Change(sites[i], ids[i], step);
        }
      }
      peer.Commit();
    }
  }
  Say("seconds", watch.seconds());
  Say("incidents_per_s", done / watch.seconds());
}

// Timed without the start of this process, as the product's parts are.
void Script(Raw& raw) {
  const std::string text((std::istreambuf_iterator<char>(std::cin)), {});
  const Stopwatch watch;
  raw.Simple(text.c_str());
  Say("seconds", watch.seconds());
}

int Main() {
  auto raw = Open();
  if (FLAGS_part == "script") {
    Script(*raw);
  } else if (FLAGS_part == "load") {
    Load(*raw);
  } else if (FLAGS_part == "claim") {
    Claim(Peer(*raw));
  } else if (FLAGS_part == "fence") {
    Fence(Peer(*raw));
  } else if (FLAGS_part == "event") {
    Event(Peer(*raw));
  } else if (FLAGS_part == "incidents") {
    Burst(Peer(*raw));
  } else {
    std::cerr << "store_peer: --part: see --help\n";
    return 2;
  }
  Say("rss_bytes", PeakRssBytes());
  return 0;
}

}  // namespace
}  // namespace jetmon::bench

int main(int argc, char** argv) {
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  return jetmon::bench::Main();
}
