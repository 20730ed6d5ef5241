#include "store/legacy_table.h"

#include <algorithm>

#include "store/sites.h"
#include "store/test_database.h"
#include "store/test_sites.h"

namespace jetmon::store {
namespace {

using Level = LegacyFinding::Level;

std::vector<LegacyFinding> Check(TestDatabase& db, uint32_t buckets = 512) {
  std::vector<LegacyFinding> findings;
  const absl::Status s = db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto found = CheckLegacyTable(tx, buckets);
    if (found.ok()) findings = *found;
    return found.status();
  });
  EXPECT_TRUE(s.ok()) << s << sql::EngineText(s);
  return findings;
}

bool Has(const std::vector<LegacyFinding>& findings, Level level, const std::string& code) {
  return std::any_of(findings.begin(), findings.end(),
                     [&](const LegacyFinding& f) { return f.level == level && f.code == code; });
}

int Blockers(const std::vector<LegacyFinding>& findings) {
  return static_cast<int>(
      std::count_if(findings.begin(), findings.end(),
                    [](const LegacyFinding& f) { return f.level == Level::kBlocker; }));
}

TEST(LegacyTable, AsV1MadeIt) {
  TestDatabase db;
  const auto findings = Check(db);
  EXPECT_EQ(Blockers(findings), 0);
  EXPECT_TRUE(Has(findings, Level::kOk, "columns"));
  EXPECT_TRUE(Has(findings, Level::kOk, "indexes"));
  EXPECT_TRUE(Has(findings, Level::kOk, "buckets"));
}

TEST(LegacyTable, ABucketPastTheTotalBlocks) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) {
                  Site site;
                  site.bucket = 600;
                  site.url = "http://192.0.2.1/";
                  return InsertSites(tx, {site});
                }).ok());
  EXPECT_TRUE(Has(Check(db), Level::kBlocker, "bucket_out_of_range"));
  EXPECT_EQ(Blockers(Check(db, 601)), 0);
}

// The table is changed under a name of its own: on a server it outlives the test.
class ChangedTable {
 public:
  ChangedTable(TestDatabase& db, const std::vector<std::string>& create) : db_(db) {
    Run("ALTER TABLE jetpack_monitor_sites RENAME TO as_v1_made_it");
    for (const std::string& sql : create) Run(sql);
  }
  ~ChangedTable() {
    if (made_) Run("DROP TABLE jetpack_monitor_sites");
    Run("ALTER TABLE as_v1_made_it RENAME TO jetpack_monitor_sites");
  }

 private:
  void Run(const std::string& sql) {
    absl::Status s;
    if (db_->dialect().TransactionalSchema()) {
      s = db_->Write([&](sql::Transaction& tx) { return tx.Execute(sql).status(); });
    } else {
      s = db_->ChangeSchema(db_->clock().Boot() + std::chrono::seconds(30), sql);
    }
    EXPECT_TRUE(s.ok()) << sql << ": " << s << sql::EngineText(s);
    made_ = made_ || sql.starts_with("CREATE TABLE");
  }

  TestDatabase& db_;
  bool made_ = false;
};

TEST(LegacyTable, SaysWhatDiffers) {
  TestDatabase db;
  {
    const ChangedTable none(db, {});
    EXPECT_TRUE(Has(Check(db), Level::kBlocker, "table_missing"));
  }
  {
    const ChangedTable changed(
        db, {"CREATE TABLE jetpack_monitor_sites (jetpack_monitor_site_id BIGINT NOT NULL PRIMARY "
             "KEY, blog_id BIGINT NOT NULL, bucket_no VARCHAR(8) NOT NULL, monitor_url "
             "VARCHAR(300) NOT NULL, monitor_active TINYINT NOT NULL, site_status TINYINT NOT "
             "NULL, last_status_change TIMESTAMP NOT NULL, colour VARCHAR(8) NOT NULL)"});
    const auto findings = Check(db);
    EXPECT_TRUE(Has(findings, Level::kBlocker, "column_missing"));  // check_interval
    EXPECT_TRUE(Has(findings, Level::kBlocker, "column_type"));     // bucket_no
    EXPECT_TRUE(Has(findings, Level::kBlocker, "index_missing"));   // of the bucket, of the blog
    EXPECT_TRUE(Has(findings, Level::kWarning, "column_type"));     // last_status_change
    EXPECT_TRUE(Has(findings, Level::kOk, "extra_columns"));
    EXPECT_EQ(Blockers(findings), 4);
    std::vector<std::string> missing;
    ASSERT_TRUE(db->Read([&](sql::Transaction& tx) {
                    auto found = MissingLegacyIndexes(tx);
                    if (found.ok()) missing = *found;
                    return found.status();
                  }).ok());
    EXPECT_EQ(missing, (std::vector<std::string>{"(bucket_no, monitor_active)", "(blog_id)"}));
  }
  {
    const ChangedTable changed(
        db, {"CREATE TABLE jetpack_monitor_sites (jetpack_monitor_site_id BIGINT NOT NULL PRIMARY "
             "KEY, blog_id BIGINT NOT NULL, bucket_no INT NOT NULL, monitor_url VARCHAR(300) NOT "
             "NULL, monitor_active TINYINT NOT NULL, site_status TINYINT NOT NULL, "
             "last_status_change DATETIME NULL, check_interval TINYINT NOT NULL)",
             "CREATE INDEX by_bucket ON jetpack_monitor_sites (bucket_no, monitor_active)",
             "CREATE INDEX by_blog ON jetpack_monitor_sites (blog_id)"});
    const auto findings = Check(db);
    EXPECT_TRUE(Has(findings, Level::kWarning, "column_type"));  // it has no time zone
    EXPECT_EQ(Blockers(findings), 0);
  }
  EXPECT_EQ(Blockers(Check(db)), 0);
}

TEST(LegacyTable, LevelsHaveNames) {
  EXPECT_STREQ(LevelName(Level::kOk), "ok");
  EXPECT_STREQ(LevelName(Level::kWarning), "warning");
  EXPECT_STREQ(LevelName(Level::kBlocker), "blocker");
}

}  // namespace
}  // namespace jetmon::store
