#include "store/comparison_results.h"

#include "store/test_database.h"

namespace jetmon::store {
namespace {

Comparison MakeComparison(uint64_t site_id,
                          const char* comparison_class = comparison_class::kSame) {
  Comparison c;
  c.site_id = site_id;
  c.bucket = 3;
  c.url = "http://127.0.0.1/s/" + std::to_string(site_id);
  c.to_first = site_id % 2 == 0;
  c.comparison_class = comparison_class;
  c.from = {"up", 200, 0, "success", "", 1500};
  c.to = {"down", 500, 0, "server", "HTTP 500", 2500};
  c.at_ms = 1'700'000'000'000;
  return c;
}

std::vector<uint64_t> Ids(const std::vector<Comparison>& rows) {
  std::vector<uint64_t> ids;
  for (const Comparison& c : rows) ids.push_back(c.site_id);
  return ids;
}

using IdList = std::vector<uint64_t>;

TEST(ComparisonResults, ComeBackAsTheyWereWritten) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) {
                  return InsertComparisons(tx, "rjob_1", {MakeComparison(7), MakeComparison(8)});
                }).ok());
  ASSERT_TRUE(db->Read([](sql::Transaction& tx) -> absl::Status {
                  auto rows = ComparisonsAfter(tx, "rjob_1", "", 0, 10);
                  EXPECT_EQ(Ids(*rows), (IdList{7, 8}));
                  const Comparison& c = (*rows)[1];
                  EXPECT_EQ(c.bucket, 3u);
                  EXPECT_EQ(c.url, "http://127.0.0.1/s/8");
                  EXPECT_TRUE(c.to_first);
                  EXPECT_FALSE((*rows)[0].to_first);
                  EXPECT_EQ(c.comparison_class, "same");
                  EXPECT_EQ(c.from.outcome, "up");
                  EXPECT_EQ(c.from.http_code, 200);
                  EXPECT_EQ(c.from.failure_class, "success");
                  EXPECT_EQ(c.from.us, 1500);
                  EXPECT_EQ(c.to.outcome, "down");
                  EXPECT_EQ(c.to.failure_class, "server");
                  EXPECT_EQ(c.to.detail, "HTTP 500");
                  EXPECT_EQ(c.to.us, 2500);
                  EXPECT_EQ(c.at_ms, 1'700'000'000'000);
                  return absl::OkStatus();
                }).ok());
}

TEST(ComparisonResults, ASiteHasOneRowAJob) {
  TestDatabase db;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(db->Write([i](sql::Transaction& tx) {
                    Comparison again = MakeComparison(1);
                    again.from.http_code = 200 + i;
                    return InsertComparisons(tx, "rjob_1", {again, again, MakeComparison(2)});
                  }).ok());
  }
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) {
                  return InsertComparisons(tx, "rjob_2", {MakeComparison(1)});
                }).ok());
  ASSERT_TRUE(db->Read([](sql::Transaction& tx) -> absl::Status {
                  auto rows = ComparisonsAfter(tx, "rjob_1", "", 0, 10);
                  EXPECT_EQ(Ids(*rows), (IdList{1, 2}));
                  EXPECT_EQ((*rows)[0].from.http_code, 200);
                  EXPECT_EQ(*ComparedSites(tx, "rjob_1", {5, 2, 1, 9}), (IdList{1, 2}));
                  EXPECT_EQ(*ComparedSites(tx, "rjob_3", {1}), IdList{});
                  EXPECT_EQ(*ComparedSites(tx, "rjob_1", {}), IdList{});
                  return absl::OkStatus();
                }).ok());
}

TEST(ComparisonResults, WhatIsTooLongIsCut) {
  TestDatabase db;
  Comparison c = MakeComparison(1);
  c.url = std::string(299, 'u') + "\xc3\xa9";  // the 301st byte is half of a character
  c.from.detail = std::string(400, 'd');
  ASSERT_TRUE(
      db->Write([&](sql::Transaction& tx) { return InsertComparisons(tx, "rjob_1", {c}); }).ok());
  ASSERT_TRUE(db->Read([](sql::Transaction& tx) -> absl::Status {
                  const Comparison row = (*ComparisonsAfter(tx, "rjob_1", "", 0, 1))[0];
                  EXPECT_EQ(row.url, std::string(299, 'u'));
                  EXPECT_EQ(row.from.detail, std::string(255, 'd'));
                  return absl::OkStatus();
                }).ok());
}

TEST(ComparisonResults, ArePagedBySiteAndFilteredByClass) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) {
                  std::vector<Comparison> rows;
                  for (uint64_t id = 9; id >= 1; --id) {
                    rows.push_back(MakeComparison(
                        id, id % 3 == 0 ? comparison_class::kGetWorse : comparison_class::kSame));
                  }
                  return InsertComparisons(tx, "rjob_1", rows);
                }).ok());
  ASSERT_TRUE(
      db->Read([](sql::Transaction& tx) -> absl::Status {
          auto page = ListComparisons(tx, "rjob_1", "", {4, ""});
          EXPECT_EQ(Ids(page->rows), (IdList{1, 2, 3, 4}));
          page = ListComparisons(tx, "rjob_1", "", {4, page->next_token});
          EXPECT_EQ(Ids(page->rows), (IdList{5, 6, 7, 8}));
          page = ListComparisons(tx, "rjob_1", "", {4, page->next_token});
          EXPECT_EQ(Ids(page->rows), IdList{9});
          EXPECT_EQ(page->next_token, "");
          page = ListComparisons(tx, "rjob_1", comparison_class::kGetWorse, {2, ""});
          EXPECT_EQ(Ids(page->rows), (IdList{3, 6}));
          page = ListComparisons(tx, "rjob_1", comparison_class::kGetWorse, {2, page->next_token});
          EXPECT_EQ(Ids(page->rows), IdList{9});
          EXPECT_TRUE(ListComparisons(tx, "rjob_2", "", {4, ""})->rows.empty());
          EXPECT_TRUE(
              absl::IsInvalidArgument(ListComparisons(tx, "rjob_1", "", {4, "x"}).status()));
          EXPECT_TRUE(absl::IsInvalidArgument(
              ListComparisons(tx, "rjob_1", "", {4, PageToken("rjob_1")}).status()));
          return absl::OkStatus();
        }).ok());
}

TEST(ComparisonResults, AreRemovedPieceByPiece) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  std::vector<Comparison> rows;
                  for (uint64_t id = 1; id <= 5; ++id) rows.push_back(MakeComparison(id * 10));
                  auto s = InsertComparisons(tx, "rjob_1", rows);
                  return s.ok() ? InsertComparisons(tx, "rjob_2", rows) : s;
                }).ok());
  for (int64_t removed : {2, 2, 1, 0}) {
    ASSERT_TRUE(db->Write([removed](sql::Transaction& tx) {
                    auto n = DeleteComparisonResults(tx, "rjob_1", 2);
                    EXPECT_EQ(n.value_or(-1), removed);
                    return n.status();
                  }).ok());
  }
  ASSERT_TRUE(db->Read([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(ComparisonsAfter(tx, "rjob_1", "", 0, 10)->empty());
                  EXPECT_EQ(ComparisonsAfter(tx, "rjob_2", "", 0, 10)->size(), 5u);
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
