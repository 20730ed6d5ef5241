#include "controlplane/access/audit.h"

#include "gtest/gtest.h"
#include "store/test_database.h"

namespace jetmon::access {
namespace {

using std::chrono::seconds;

BootTime Soon() { return SystemClock().Boot() + seconds(10); }

TEST(AuditTest, WritesBoundedRows) {
  store::TestDatabase db;
  Audit audit(*db);
  store::AuditRow row;
  row.operation = "RolloutService/Seed";
  row.run_id = "rol_1";
  row.outcome = "ok";
  row.detail = std::string(999, 'a') + "\xC3\xA4";
  audit.Write(row, Soon());
  std::vector<store::AuditRow> rows;
  ASSERT_TRUE(db->Read([&](sql::Transaction& tx) {
                  auto read = store::ListAuditOfRun(tx, "rol_1", 10);
                  if (read.ok()) rows = *read;
                  return read.status();
                }).ok());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].operation, "RolloutService/Seed");
  EXPECT_EQ(rows[0].detail, std::string(999, 'a'));
  EXPECT_GT(rows[0].at_ms, 0);
  EXPECT_EQ(audit.failures(), 0u);
}

TEST(AuditTest, CountsWhatCouldNotBeWritten) {
  store::TestDatabase db;
  if (!db.embedded()) GTEST_SKIP() << "changes the schema";
  Audit audit(*db);
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) {
                  return tx.Execute("DROP TABLE jetmon_audit_log").status();
                }).ok());
  audit.Write(store::AuditRow{}, Soon());
  EXPECT_EQ(audit.failures(), 1u);
}

}  // namespace
}  // namespace jetmon::access
