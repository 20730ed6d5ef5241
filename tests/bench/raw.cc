#include "tests/bench/raw.h"

#include <mariadb/mysql.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/sql/sqlite_settings.h"

namespace jetmon::bench {
namespace {

void Check(bool ok, const char* said) {
  if (ok) return;
  fprintf(stderr, "raw: %s\n", said);
  exit(1);
}

class Sqlite final : public Raw {
 public:
  explicit Sqlite(const std::string& path) {
    Must(sqlite3_open(path.c_str(), &db_));
    sqlite3_busy_timeout(db_, 10'000);
    Simple("PRAGMA journal_mode = WAL");
    Simple(sql::kSqliteSettings);
  }
  ~Sqlite() override {
    for (sqlite3_stmt* s : statements_) sqlite3_finalize(s);
    sqlite3_close(db_);
  }
  size_t Prepare(const std::string& sql) override {
    sqlite3_stmt* s = nullptr;
    Must(sqlite3_prepare_v2(db_, sql.c_str(), -1, &s, nullptr));
    statements_.push_back(s);
    return statements_.size() - 1;
  }
  int64_t Run(size_t statement, const std::vector<Value>& values) override {
    sqlite3_stmt* s = statements_[statement];
    for (size_t i = 0; i < values.size(); ++i) {
      const int at = static_cast<int>(i) + 1;
      if (const auto* n = std::get_if<int64_t>(&values[i])) {
        sqlite3_bind_int64(s, at, *n);
      } else if (const auto* t = std::get_if<std::string>(&values[i])) {
        sqlite3_bind_text(s, at, t->data(), static_cast<int>(t->size()), SQLITE_STATIC);
      } else {
        sqlite3_bind_null(s, at);
      }
    }
    Must(sqlite3_step(s), SQLITE_DONE);
    sqlite3_reset(s);
    return sqlite3_last_insert_rowid(db_);
  }
  uint64_t Read(const std::string& sql) override {
    sqlite3_stmt* s = nullptr;
    Must(sqlite3_prepare_v2(db_, sql.c_str(), -1, &s, nullptr));
    uint64_t rows = 0;
    while (sqlite3_step(s) == SQLITE_ROW) {
      ++rows;
      for (int c = 0; c < sqlite3_column_count(s); ++c) {
        if (sqlite3_column_type(s, c) == SQLITE_INTEGER) {
          sink_ += sqlite3_column_int64(s, c);
        } else {
          sink_ += sqlite3_column_text(s, c) != nullptr ? sqlite3_column_bytes(s, c) : 0;
        }
      }
    }
    sqlite3_finalize(s);
    return rows;
  }
  void Simple(const char* sql) override { Must(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr)); }
  const char* begin() const override { return "BEGIN IMMEDIATE"; }

 private:
  // What the engine says is asked once it has said it.
  void Must(int code, int wanted = SQLITE_OK) { Check(code == wanted, sqlite3_errmsg(db_)); }

  sqlite3* db_ = nullptr;
  std::vector<sqlite3_stmt*> statements_;
  int64_t sink_ = 0;
};

class Mariadb final : public Raw {
 public:
  Mariadb(const std::string& user, const std::string& host, int port, const std::string& password,
          const std::string& database)
      : db_(mysql_init(nullptr)) {
    Check(mysql_real_connect(db_, host.c_str(), user.c_str(), password.c_str(), database.c_str(),
                             static_cast<unsigned>(port), nullptr, 0) != nullptr,
          mysql_error(db_));
    Simple("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
  }
  ~Mariadb() override {
    for (MYSQL_STMT* s : statements_) mysql_stmt_close(s);
    mysql_close(db_);
  }
  size_t Prepare(const std::string& sql) override {
    MYSQL_STMT* s = mysql_stmt_init(db_);
    Check(mysql_stmt_prepare(s, sql.data(), sql.size()) == 0, mysql_stmt_error(s));
    statements_.push_back(s);
    return statements_.size() - 1;
  }
  int64_t Run(size_t statement, const std::vector<Value>& values) override {
    MYSQL_STMT* s = statements_[statement];
    std::vector<MYSQL_BIND> binds(values.size());
    if (!binds.empty()) memset(binds.data(), 0, sizeof(MYSQL_BIND) * binds.size());
    for (size_t i = 0; i < values.size(); ++i) {
      if (const auto* n = std::get_if<int64_t>(&values[i])) {
        binds[i].buffer_type = MYSQL_TYPE_LONGLONG;
        binds[i].buffer = const_cast<int64_t*>(n);
      } else if (const auto* t = std::get_if<std::string>(&values[i])) {
        binds[i].buffer_type = MYSQL_TYPE_STRING;
        binds[i].buffer = const_cast<char*>(t->data());
        binds[i].buffer_length = t->size();
      } else {
        binds[i].buffer_type = MYSQL_TYPE_NULL;
      }
    }
    Check(mysql_stmt_bind_param(s, binds.data()) == 0, mysql_stmt_error(s));
    Check(mysql_stmt_execute(s) == 0, mysql_stmt_error(s));
    return static_cast<int64_t>(mysql_stmt_insert_id(s));
  }
  uint64_t Read(const std::string& sql) override {
    Check(mysql_real_query(db_, sql.data(), sql.size()) == 0, mysql_error(db_));
    MYSQL_RES* result = mysql_store_result(db_);
    Check(result != nullptr, mysql_error(db_));
    uint64_t rows = 0;
    const unsigned columns = mysql_num_fields(result);
    while (MYSQL_ROW row = mysql_fetch_row(result)) {
      ++rows;
      for (unsigned c = 0; c < columns; ++c) sink_ += row[c] != nullptr ? row[c][0] : 0;
    }
    mysql_free_result(result);
    return rows;
  }
  void Simple(const char* sql) override { Check(mysql_query(db_, sql) == 0, mysql_error(db_)); }
  const char* begin() const override { return "START TRANSACTION"; }

 private:
  MYSQL* db_;
  std::vector<MYSQL_STMT*> statements_;
  int64_t sink_ = 0;
};

}  // namespace

std::unique_ptr<Raw> OpenRawSqlite(const std::string& path) {
  return std::make_unique<Sqlite>(path);
}
std::unique_ptr<Raw> OpenRawMariadb(const std::string& user, const std::string& host, int port,
                                    const std::string& password, const std::string& database) {
  return std::make_unique<Mariadb>(user, host, port, password, database);
}

}  // namespace jetmon::bench
