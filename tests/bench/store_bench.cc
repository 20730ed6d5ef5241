// One part of `tools/bench.sh store`: what the product does with a database, timed. Prints
// "name value" lines; store_bench.py runs the parts, and the peers', and compares.
#include <gflags/gflags.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/seed.h"
#include "monitor/incidents.h"
#include "monitor/site_table.h"
#include "store/hosts.h"
#include "store/ids.h"
#include "store/jobs.h"
#include "store/locks.h"
#include "store/schema.h"
#include "store/sessions.h"
#include "store/test_sites.h"
#include "tests/bench/bench_io.h"
#include "tests/bench/legacy_rows.h"

DEFINE_string(database, "", "sqlite:///file or mysql://user@host:port/name");
DEFINE_string(
    part, "",
    "generate, seed, read, load, claim, fence, fence_beside_seed, event, incidents or paced");
DEFINE_uint64(rows, 1'000'000, "rows of the legacy table");
DEFINE_bool(all_active, true, "every row is active; else one in six, as in production");
DEFINE_uint64(bucket_max, 511, "the last bucket of the range that is seeded or loaded, from 0");
DEFINE_uint64(count, 2000, "how often a single thing is done");
DEFINE_double(seconds, 30, "how long part paced goes on");
DEFINE_double(per_minute, 10'000, "incidents that part paced opens");

namespace jetmon::bench {
namespace {

constexpr uint32_t kBuckets = 512;
constexpr char kHost[] = "bench";
constexpr char kInstance[] = "ins_bench";
constexpr size_t kOpsAtOnce = 500;

std::unique_ptr<sql::Database> Open() {
  sql::Options options;
  const char* password = getenv("JETMON_DATABASE_PASSWORD");
  if (password != nullptr) options.server.password = password;
  store::DatabaseSettings settings;
  settings.url = FLAGS_database;
  settings.auto_migrate = true;
  return Get(store::OpenDatabase(settings, options));
}

void Generate(sql::Database& db) {
  constexpr uint64_t kAtOnce = 5000;
  const Shape shape{kBuckets, FLAGS_all_active};
  for (uint64_t at = 1; at <= FLAGS_rows; at += kAtOnce) {
    std::vector<store::Site> sites;
    for (uint64_t i = at; i < std::min(at + kAtOnce, FLAGS_rows + 1); ++i) {
      sites.push_back(LegacyRow(i, shape));
    }
    Check(db.Write([&](sql::Transaction& tx) { return store::InsertSites(tx, sites); }));
  }
  Check(db.Write([](sql::Transaction& tx) { return store::EnsureBuckets(tx, kBuckets, 1); }));
}

void Seed(sql::Database& db) {
  rollout::Options options;
  options.instance = "controlplane-bench";
  rollout::Parts parts;
  parts.clock = &SystemClock();
  parts.db = &db;
  const store::Range range{0, static_cast<uint32_t>(FLAGS_bucket_max)};
  const std::string id = "rjob_" + store::NewUlid(SystemClock().WallMs());
  store::Session session;
  session.run_id = "rol_" + id;
  session.range = range;
  session.state = "open";
  store::Job job;
  job.job_id = id;
  job.operation = "seed";
  job.run_id = session.run_id;
  job.range = range;
  job.state = store::job_state::kQueued;
  std::optional<store::JobLease> lease;
  Check(db.Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto s = store::InsertSession(tx, session); !s.ok()) return s;
    if (auto s = store::InsertJob(tx, job); !s.ok()) return s;
    auto won = store::ClaimQueuedJob(tx, id, options.instance, 1);
    if (won.ok()) lease = *won;
    return won.status();
  }));
  rollout::Observer observer(db, SystemClock(), options.times);
  const std::function<bool()> stopping = [] { return false; };
  rollout::JobRun run(parts, options, observer, job, lease.value(), stopping);
  const Stopwatch watch;
  Check(rollout::ExecuteSeed(run));
  Say("seconds", watch.seconds());
  Say("paused_seconds", std::chrono::duration<double>(run.paused).count());
  Check(db.Read([&](sql::Transaction& tx) -> absl::Status {
    auto ended = store::GetJob(tx, id);
    if (!ended.ok()) return ended.status();
    if ((*ended)->state != store::job_state::kCompleted) {
      return absl::InternalError("the job is " + (*ended)->state + " " + (*ended)->error);
    }
    auto targets = store::CountTargets(tx, range);
    if (!targets.ok()) return targets.status();
    Say("targets", *targets);
    return absl::OkStatus();
  }));
}

// As Watch::Load does: bucket after bucket, page after page; with `table` into that.
void Load(sql::Database& db, monitor::SiteTable* table) {
  constexpr int kPage = 5000;
  const Stopwatch watch;
  uint64_t sites = 0;
  for (uint32_t bucket = 0; bucket <= FLAGS_bucket_max; ++bucket) {
    Check(db.Read([&](sql::Transaction& tx) -> absl::Status {
      for (store::SiteCursor after;;) {
        auto page = store::ActiveSitesOfBucket(tx, bucket, after, kPage);
        if (!page.ok()) return page.status();
        sites += page->size();
        for (const store::Site& site : *page) {
          if (table != nullptr) table->Put(site, nullptr);
        }
        if (page->size() < static_cast<size_t>(kPage)) break;
        after = store::SiteCursor::After(page->back());
      }
      auto configs = store::ConfigsOfBucket(tx, bucket);
      if (!configs.ok()) return configs.status();
      return store::OpenEventsOfBucket(tx, bucket).status();
    }));
  }
  Say("seconds", watch.seconds());
  Say("sites", sites);
}

// Grants ranges of four buckets, each to a host of its own, each in a transaction of its own.
void Claim(sql::Database& db) {
  constexpr uint32_t kSize = 4;
  std::vector<double> seconds;
  for (uint32_t at = 0; at < kBuckets; at += kSize) {
    const std::string host = absl::StrCat(kHost, at);
    store::ProcessHealth health;
    health.instance = absl::StrCat(kInstance, at);
    health.kind = "monitor";
    health.host = host;
    uint64_t generation = 0;
    Check(db.Write([&](sql::Transaction& tx) -> absl::Status {
      if (auto s = store::ReportHealth(tx, health); !s.ok()) return s;
      auto now = store::HostGeneration(tx, host);
      if (now.ok()) generation = *now;
      return now.status();
    }));
    const Stopwatch watch;
    Check(db.Write([&](sql::Transaction& tx) -> absl::Status {
      auto granted = store::GrantRange(tx, {{at, at + kSize - 1},
                                            host,
                                            health.instance,
                                            generation,
                                            "rol_bench",
                                            "rjob_bench",
                                            "[]",
                                            1});
      if (!granted.ok()) return granted.status();
      return granted->outcome == store::GrantOutcome::kGranted
                 ? absl::OkStatus()
                 : absl::InternalError("a grant was refused");
    }));
    seconds.push_back(watch.seconds());
  }
  SayLatency("claim", seconds);
}

// Holds all buckets, so that fences pass; what writes incidents.
monitor::Writer Own(sql::Database& db) {
  monitor::Writer writer;
  writer.instance = kInstance;
  writer.notify_sends = true;
  Check(db.Write([&](sql::Transaction& tx) -> absl::Status {
    store::ProcessHealth health;
    health.instance = kInstance;
    health.kind = "monitor";
    health.host = kHost;
    if (auto s = store::ReportHealth(tx, health); !s.ok()) return s;
    auto generation = store::HostGeneration(tx, kHost);
    if (!generation.ok()) return generation.status();
    auto granted = store::GrantRange(
        tx, {{0, kBuckets - 1}, kHost, kInstance, *generation, "rol_bench", "rjob_x", "[]", 1});
    if (!granted.ok()) return granted.status();
    if (granted->outcome != store::GrantOutcome::kGranted) {
      return absl::InternalError("the buckets are held already");
    }
    writer.epoch = granted->lock.epoch;
    auto begun = store::BeginActivating(tx, writer.epoch, 1);
    if (!begun.ok()) return begun.status();
    return store::AcknowledgeRange(tx, writer.epoch, kInstance, granted->lock.revision + 1, 1)
        .status();
  }));
  return writer;
}

void Fence(sql::Database& db, const monitor::Writer& writer) {
  std::vector<double> seconds;
  for (uint64_t i = 0; i < FLAGS_count; ++i) {
    const Stopwatch watch;
    Check(db.Write([&](sql::Transaction& tx) {
      return monitor::PassFences(tx, writer, {static_cast<uint32_t>(i % kBuckets)});
    }));
    seconds.push_back(watch.seconds());
  }
  SayLatency("fence", seconds);
}

// Fences of another process's buckets, a hundred a second, while a seed of all sites runs.
void FenceBesideSeed(sql::Database& db) {
  std::atomic<bool> seeded{false};
  std::thread seed([&] {
    Seed(db);
    seeded = true;
  });
  auto other = Open();
  std::vector<double> seconds;
  while (!seeded) {
    const Stopwatch watch;
    Check(other->Write([&](sql::Transaction& tx) {
      return store::FenceBucket(tx, kBuckets, 1, kInstance).status();
    }));
    seconds.push_back(watch.seconds());
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  seed.join();
  SayLatency("fence", seconds);
}

using Kind = monitor::IncidentOp::Kind;

// The changes of incidents, in an order that moves through the sites.
class Incidents {
 public:
  Incidents(sql::Database& db, monitor::Writer writer) : db_(db), writer_(std::move(writer)) {}

  // The next site that v1 has as up.
  monitor::IncidentOp Open() {
    monitor::IncidentOp op;
    op.kind = Kind::kOpen;
    do {
      op.site = LegacyRow(++last_site_, {kBuckets, FLAGS_all_active});
    } while (op.site.site_status != 1 || !op.site.active);
    op.why = {0, 500, "http_status", "status 500"};
    return op;
  }
  // What follows it: confirmed, then recovered.
  static monitor::IncidentOp Next(const monitor::IncidentOp& before) {
    monitor::IncidentOp op = before;
    op.seen = before.now;
    op.kind = before.kind == Kind::kOpen ? Kind::kConfirm : Kind::kClose;
    op.reason = before.kind == Kind::kOpen ? store::transition::kVerifierConfirmed
                                           : store::transition::kRecovered;
    op.checks_json = monitor::ChecksJson({{2, "vantage-1", 0, 120, 500}});
    return op;
  }
  void Write(std::vector<monitor::IncidentOp>* ops) {
    Check(monitor::WriteIncidents(db_, SystemClock(),
                                  SystemClock().Boot() + std::chrono::seconds(30), writer_, ops));
    for (const auto& op : *ops) {
      if (op.outcome != store::ChangeOutcome::kChanged) {
        Check(absl::InternalError(absl::StrCat("a change of site ", op.site.site_id, " came to ",
                                               static_cast<int>(op.outcome))));
      }
    }
  }

 private:
  sql::Database& db_;
  const monitor::Writer writer_;
  uint64_t last_site_ = 0;
};

// One change a transaction.
void Event(Incidents incidents) {
  std::map<Kind, std::vector<double>> seconds;
  for (uint64_t i = 1; i <= FLAGS_count; ++i) {
    std::vector<monitor::IncidentOp> ops = {incidents.Open()};
    for (int step = 0; step < 3; ++step) {
      if (step > 0) ops = {Incidents::Next(ops[0])};
      const Stopwatch watch;
      incidents.Write(&ops);
      seconds[ops[0].kind].push_back(watch.seconds());
    }
  }
  SayLatency("open", seconds[Kind::kOpen]);
  SayLatency("confirm", seconds[Kind::kConfirm]);
  SayLatency("close", seconds[Kind::kClose]);
}

// As fast as it goes, in batches as a Monitor writes them in an outage.
void Burst(Incidents incidents) {
  const Stopwatch watch;
  uint64_t done = 0;
  while (done < FLAGS_count) {
    std::vector<monitor::IncidentOp> ops;
    for (size_t i = 0; i < kOpsAtOnce; ++i) ops.push_back(incidents.Open());
    for (int step = 0; step < 3; ++step) {
      for (auto& op : ops) {
        if (step > 0) op = Incidents::Next(op);
      }
      incidents.Write(&ops);
    }
    done += ops.size();
  }
  Say("seconds", watch.seconds());
  Say("incidents_per_s", done / watch.seconds());
}

// Incidents begin at the given rate whatever the database does; each is confirmed a second after it
// was written as open, and recovers a second after that. How late changes are written tells whether
// it keeps up.
void Paced(Incidents incidents) {
  struct Due {
    double at;
    monitor::IncidentOp op;
  };
  std::vector<Due> later;
  std::vector<double> late;
  const double rate = FLAGS_per_minute / 60;
  const Stopwatch watch;
  uint64_t opened = 0, closed = 0;
  while (watch.seconds() < FLAGS_seconds) {
    const double now = watch.seconds();
    std::vector<monitor::IncidentOp> ops;
    std::vector<double> since;
    while (ops.size() < kOpsAtOnce && static_cast<double>(opened) / rate <= now) {
      since.push_back(static_cast<double>(opened) / rate);
      ++opened;
      ops.push_back(incidents.Open());
    }
    auto end =
        std::stable_partition(later.begin(), later.end(), [&](const Due& d) { return d.at > now; });
    for (auto d = end; d != later.end(); ++d) {
      since.push_back(d->at);
      ops.push_back(std::move(d->op));
    }
    later.erase(end, later.end());
    if (ops.empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      continue;
    }
    incidents.Write(&ops);
    const double written = watch.seconds();
    for (size_t i = 0; i < ops.size(); ++i) {
      late.push_back(written - since[i]);
      if (ops[i].kind == Kind::kClose) {
        ++closed;
      } else {
        later.push_back({written + 1, Incidents::Next(ops[i])});
      }
    }
  }
  Say("opened", opened);
  Say("closed", closed);
  SayLatency("late", late);
}

int Main() {
  auto db = Open();
  if (FLAGS_part == "generate") {
    Generate(*db);
  } else if (FLAGS_part == "seed") {
    Seed(*db);
  } else if (FLAGS_part == "load") {
    const monitor::Config config;
    monitor::SiteTable table(config);
    Load(*db, &table);
  } else if (FLAGS_part == "read") {
    Load(*db, nullptr);
  } else if (FLAGS_part == "claim") {
    Claim(*db);
  } else if (FLAGS_part == "fence") {
    Fence(*db, Own(*db));
  } else if (FLAGS_part == "fence_beside_seed") {
    FenceBesideSeed(*db);
  } else if (FLAGS_part == "event") {
    Event(Incidents(*db, Own(*db)));
  } else if (FLAGS_part == "incidents") {
    Burst(Incidents(*db, Own(*db)));
  } else if (FLAGS_part == "paced") {
    Paced(Incidents(*db, Own(*db)));
  } else {
    std::cerr << "store_bench: --part: see --help\n";
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
