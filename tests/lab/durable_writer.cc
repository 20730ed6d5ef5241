// Writes numbered rows through the SQL layer from several threads, all the while, and keeps a log
// of its own of what the layer said of each: what was reported as done must be in the table
// whatever happened to the database meanwhile, and nothing else. See launcher/durable_writer.py.
#include <gflags/gflags.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "store/settings.h"
#include "store/sql/database.h"
#include "tests/lab/line_log.h"

DEFINE_string(database, "", "the database that holds the tables numbers and totals");
DEFINE_string(log, "", "the file that says of each number what became of it");
DEFINE_int32(threads, 4, "writers at a time");

namespace jetmon::lab {
namespace {

// Between two numbers of a thread: it shares the machine with what is judged by its pace.
constexpr std::chrono::milliseconds kPause{5};
// Of one write; after it the number is given up.
constexpr std::chrono::seconds kLimit{5};

class DurableWriter final : public daemon::Daemon {
 public:
  static absl::StatusOr<std::unique_ptr<daemon::Daemon>> Start() {
    store::DatabaseSettings settings;
    settings.url = FLAGS_database;
    auto options = store::OptionsFrom(settings);
    if (!options.ok()) return options.status();
    auto db = sql::Database::Open(FLAGS_database, std::move(*options));
    if (!db.ok()) return db.status();
    auto log = LineLog::Open(FLAGS_log);
    if (!log.ok()) return log.status();
    auto writer = std::make_unique<DurableWriter>(std::move(*db), std::move(*log));
    for (int i = 0; i < FLAGS_threads; ++i) {
      writer->threads_.emplace_back([w = writer.get(), i] { w->Work(i); });
    }
    return writer;
  }

  DurableWriter(std::unique_ptr<sql::Database> db, std::unique_ptr<LineLog> log)
      : db_(std::move(db)), log_(std::move(log)) {}

  void Shutdown() override {
    stopping_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void Work(int thread) {
    for (int64_t number = thread; !stopping_; number += FLAGS_threads) {
      if (const char* known = Put(thread, number); known != nullptr) Say(known, number);
      std::this_thread::sleep_for(kPause);
    }
  }

  // "done": the number is in the table. "failed": it is not, nor will it be. nullptr: it is not
  // known at the end.
  const char* Put(int thread, int64_t number) {
    bool unknown = false;
    do {
      const absl::Status s = Write(thread, number);
      // The key is this thread's own: what has it was written by a try whose answer was lost.
      if (s.ok() || (unknown && absl::IsAlreadyExists(s))) return "done";
      LogWarning(absl::StrCat(number, ": ", s.message()));
      if (!unknown && !sql::OutcomeUnknown(s)) return "failed";
      // That COMMIT may still be under way at the server, so that the row is not to be seen and yet
      // comes: it is written again, which waits for the end of the other try on its key, until that
      // succeeds or meets the row.
      if (!unknown) Say("unknown", number);
      unknown = true;
    } while (!stopping_);
    return nullptr;
  }

  absl::Status Write(int thread, int64_t number) {
    return db_->Write(db_->clock().Boot() + kLimit, [&](sql::Transaction& tx) -> absl::Status {
      auto row = tx.Execute("INSERT INTO numbers (number, thread) VALUES (?, ?)", {number, thread});
      if (!row.ok()) return row.status();
      // In step with the rows, or a transaction was done by half, or twice.
      auto counted = tx.ExecuteOne("UPDATE totals SET n = n + 1 WHERE thread = ?", {thread});
      if (!counted.ok()) return counted.status();
      return *counted ? absl::OkStatus() : absl::InternalError("the thread has no total");
    });
  }

  void Say(const char* what, int64_t number) {
    log_->Write(JsonLine(what).Add("number", number));
    log_->Flush();
  }

  const std::unique_ptr<sql::Database> db_;
  const std::unique_ptr<LineLog> log_;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace
}  // namespace jetmon::lab

int main(int argc, char** argv) {
  return jetmon::daemon::Main(
      argc, argv,
      {"durable_writer", "Writes numbered rows and logs what it was told of each.",
       "durable_writer --database=mysql://lab@127.0.0.1:3306/lab --log=/tmp/writer.jsonl",
       jetmon::lab::DurableWriter::Start});
}
