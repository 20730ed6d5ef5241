#include "store/sql/test_server.h"

#include <stdlib.h>

#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace jetmon::sql {
namespace {

std::string Environment(const char* name) {
  const char* value = getenv(name);
  // These programs make no sense alone.
  if (value == nullptr) {
    fprintf(stderr, "%s is not set: run this by //tests/conformance\n", name);
    exit(2);
  }
  return value;
}

}  // namespace

ServerTest::ServerTest() {
  all_ = *ParseDatabaseUrl(Environment("JETMON_TEST_DATABASE"));
  for (absl::string_view text : absl::StrSplit(Environment("JETMON_TEST_SERVER_PIDS"), ',')) {
    int pid = 0;
    EXPECT_TRUE(absl::SimpleAtoi(text, &pid));
    pids_.push_back(pid);
  }
  for (size_t i = 0; i < all_.hosts.size(); ++i) admins_.push_back(Open(Url(i)));
  Admin("DROP TABLE IF EXISTS n");
  Admin("CREATE TABLE n (id INT NOT NULL PRIMARY KEY, v BIGINT NOT NULL) ENGINE=InnoDB");
  Admin("INSERT INTO n VALUES (1, 0), (2, 0)");
}

DatabaseUrl ServerTest::Url(size_t node) const {
  DatabaseUrl one = all_;
  one.hosts = {all_.hosts.at(node)};
  return one;
}

absl::StatusOr<std::unique_ptr<Database>> ServerTest::TryOpen(const DatabaseUrl& url,
                                                              Options options) {
  if (options.server.password.empty()) {
    options.server.password = Environment("JETMON_DATABASE_PASSWORD");
  }
  return Database::Open(url.ToString(), std::move(options));
}

std::unique_ptr<Database> ServerTest::Open(const DatabaseUrl& url, Options options) {
  auto db = TryOpen(url, std::move(options));
  EXPECT_TRUE(db.ok()) << db.status() << " " << EngineText(db.status());
  return std::move(*db);
}

void ServerTest::Admin(const std::string& sql, size_t node) const {
  // What changes the schema is run as it stands.
  const absl::Status s = admins_.at(node)->ChangeSchema(In(std::chrono::seconds(30)), sql);
  EXPECT_TRUE(s.ok()) << sql << ": " << s << " " << EngineText(s);
}

int64_t ServerTest::Ask(const std::string& query, size_t node) const {
  int64_t value = INT64_MIN;
  const absl::Status s = admins_.at(node)->Read([&](Transaction& tx) {
    return tx.Query(query, {}, [&](const Row& row) {
      value = row.Int(0);
      return absl::OkStatus();
    });
  });
  EXPECT_TRUE(s.ok()) << query << ": " << s << " " << EngineText(s);
  return value;
}

int64_t ServerTest::Connections(const std::string& user, size_t node) const {
  return Ask(
      absl::StrCat("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '", user, "'"),
      node);
}

bool ServerTest::Until(const std::function<bool()>& done) {
  const BootTime end = In(std::chrono::seconds(20));
  while (!done()) {
    if (SystemClock().Boot() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

std::unique_ptr<Database> OpenServer() {
  Options options;
  options.server.password = Environment("JETMON_DATABASE_PASSWORD");
  auto db = Database::Open(Environment("JETMON_TEST_DATABASE"), options);
  EXPECT_TRUE(db.ok()) << db.status();
  return std::move(*db);
}

absl::Status Increment(Transaction& tx, int id) {
  auto matched = tx.ExecuteOne("UPDATE n SET v = v + 1 WHERE id = ?", {id});
  if (!matched.ok()) return matched.status();
  return *matched ? absl::OkStatus() : absl::NotFoundError("no such row");
}

int64_t ConnectionId(Transaction& tx) {
  int64_t id = 0;
  auto s = tx.Query("SELECT CONNECTION_ID()", {}, [&](const Row& row) {
    id = row.Int(0);
    return absl::OkStatus();
  });
  EXPECT_TRUE(s.ok()) << s;
  return id;
}

}  // namespace jetmon::sql
