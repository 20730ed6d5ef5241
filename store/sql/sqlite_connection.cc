#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "store/sql/connection.h"

namespace jetmon::sql {
namespace {

// SQLite itself waits this long for a lock; the layer above runs the transaction again until its
// deadline.
constexpr int kBusyMs = 100;
constexpr size_t kMaxStatements = 256;

absl::Status Classify(sqlite3* db, int code) {
  const char* text = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::AbortedError("the database is busy");
    case SQLITE_CONSTRAINT: {
      const int extended = db != nullptr ? sqlite3_extended_errcode(db) : code;
      if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY) {
        return absl::AlreadyExistsError("a row with this key exists");
      }
      return absl::FailedPreconditionError(absl::StrCat("the database refused a value: ", text));
    }
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_FULL:
    case SQLITE_READONLY:
      return absl::UnavailableError(absl::StrCat("the database can't be used: ", text));
    default:
      return absl::InternalError(absl::StrCat("database error ", code, ": ", text));
  }
}

class SqliteRow final : public Row {
 public:
  explicit SqliteRow(sqlite3_stmt* statement) : statement_(statement) {}
  bool IsNull(int column) const override {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
  }
  int64_t Int(int column) const override { return sqlite3_column_int64(statement_, column); }
  double Double(int column) const override { return sqlite3_column_double(statement_, column); }
  std::string Text(int column) const override {
    const void* bytes = sqlite3_column_blob(statement_, column);
    const int size = sqlite3_column_bytes(statement_, column);
    return bytes == nullptr ? "" : std::string(static_cast<const char*>(bytes), size);
  }

 private:
  sqlite3_stmt* statement_;
};

// Ends a statement's use whatever happens: it stays prepared, and holds nothing.
class Use {
 public:
  explicit Use(sqlite3_stmt* statement) : statement_(statement) {}
  ~Use() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  sqlite3_stmt* statement_;
};

class SqliteConnection final : public Connection {
 public:
  explicit SqliteConnection(sqlite3* db) : db_(db) {}
  ~SqliteConnection() override {
    for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close(db_);
  }

  absl::Status Begin(bool write) override {
    writing_ = true;  // BEGIN itself is no read
    absl::Status s = Simple(write ? "BEGIN IMMEDIATE" : "BEGIN");
    writing_ = write;
    return s;
  }
  absl::Status Commit() override { return Simple("COMMIT"); }
  absl::Status Rollback() override {
    // After some errors SQLite has rolled back by itself.
    if (sqlite3_get_autocommit(db_) != 0) return absl::OkStatus();
    absl::Status s = Simple("ROLLBACK");
    if (!s.ok()) usable_ = false;
    return s;
  }
  bool usable() const override { return usable_; }
  const Dialect& dialect() const override { return SqliteDialect(); }

  absl::StatusOr<int64_t> Execute(std::string_view sql, Params params) override {
    sqlite3_stmt* statement = nullptr;
    if (auto s = Prepare(sql, params, &statement); !s.ok()) return s;
    Use use(statement);
    if (!writing_ && sqlite3_stmt_readonly(statement) == 0) {
      return absl::InternalError("a read transaction was asked to write");
    }
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) return absl::InternalError("a statement returned rows unexpectedly");
    if (code != SQLITE_DONE) return Failed(code);
    return sqlite3_stmt_readonly(statement) != 0 ? 0 : sqlite3_changes64(db_);
  }

  absl::StatusOr<int64_t> Insert(std::string_view sql, Params params) override {
    auto inserted = Execute(sql, params);
    if (!inserted.ok()) return inserted.status();
    return sqlite3_last_insert_rowid(db_);
  }

  absl::Status Query(std::string_view sql, Params params, const RowCallback& row) override {
    sqlite3_stmt* statement = nullptr;
    if (auto s = Prepare(sql, params, &statement); !s.ok()) return s;
    Use use(statement);
    const SqliteRow current(statement);
    for (;;) {
      const int code = sqlite3_step(statement);
      if (code == SQLITE_DONE) return absl::OkStatus();
      if (code != SQLITE_ROW) return Failed(code);
      if (auto s = row(current); !s.ok()) return s;
    }
  }

 private:
  absl::Status Failed(int code) {
    absl::Status s = Classify(db_, code);
    if (absl::IsUnavailable(s)) usable_ = false;
    return s;
  }

  absl::Status Simple(const char* sql) {
    auto done = Execute(sql, {});
    return done.ok() ? absl::OkStatus() : done.status();
  }

  absl::Status Prepare(std::string_view sql, Params params, sqlite3_stmt** statement) {
    std::string text(sql);
    auto known = statements_.find(text);
    if (known == statements_.end()) {
      if (statements_.size() >= kMaxStatements) Forget();
      sqlite3_stmt* made = nullptr;
      const int code = sqlite3_prepare_v3(db_, text.data(), static_cast<int>(text.size()),
                                          SQLITE_PREPARE_PERSISTENT, &made, nullptr);
      if (code != SQLITE_OK) return Failed(code);
      known = statements_.emplace(std::move(text), made).first;
    }
    *statement = known->second;
    const auto values = params.values();
    if (static_cast<int>(values.size()) != sqlite3_bind_parameter_count(*statement)) {
      return absl::InternalError(absl::StrCat("a statement got ", values.size(),
                                              " values and takes ",
                                              sqlite3_bind_parameter_count(*statement)));
    }
    for (size_t i = 0; i < values.size(); ++i) {
      if (int code = Bind(*statement, static_cast<int>(i) + 1, values[i]); code != SQLITE_OK) {
        return Failed(code);
      }
    }
    return absl::OkStatus();
  }

  static int Bind(sqlite3_stmt* statement, int index, const Value& value) {
    const Value::Variant& v = value.variant();
    if (const auto* i = std::get_if<int64_t>(&v)) return sqlite3_bind_int64(statement, index, *i);
    if (const auto* d = std::get_if<double>(&v)) return sqlite3_bind_double(statement, index, *d);
    if (const auto* s = std::get_if<std::string>(&v)) {
      return sqlite3_bind_text64(statement, index, s->data(), s->size(), SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
    }
    if (const auto* b = std::get_if<Value::Bytes>(&v)) {
      return sqlite3_bind_blob64(statement, index, b->data.data(), b->data.size(),
                                 SQLITE_TRANSIENT);
    }
    return sqlite3_bind_null(statement, index);
  }

  void Forget() {
    for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    statements_.clear();
  }

  sqlite3* const db_;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
  bool usable_ = true;
  bool writing_ = false;
};

// Sees to it that a new database file belongs to its owner alone: keys and tokens' hashes are in
// it.
absl::Status MakeFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::UnavailableError(
        absl::StrCat("can't open the database ", path, ": ", strerror(errno)));
  }
  struct stat st {};
  const bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  close(fd);
  if (regular) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("the database ", path, " is not a regular file"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> OpenSqlite(const std::string& path) {
  if (auto s = MakeFile(path); !s.ok()) return s;
  sqlite3* db = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  auto connection = std::make_unique<SqliteConnection>(db);
  if (code != SQLITE_OK) {
    return absl::UnavailableError(
        absl::StrCat("can't open the database ", path, ": ", sqlite3_errstr(code)));
  }
  sqlite3_busy_timeout(db, kBusyMs);
  sqlite3_extended_result_codes(db, 1);
  // Readers and one writer side by side; a commit survives the death of the process.
  for (const char* pragma : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"}) {
    int result = SQLITE_BUSY;
    for (int attempt = 0; attempt < 50 && (result & 0xff) == SQLITE_BUSY; ++attempt) {
      result = sqlite3_exec(db, pragma, nullptr, nullptr, nullptr);
    }
    if (result != SQLITE_OK) {
      return absl::UnavailableError(
          absl::StrCat("the database ", path, " can't be used: ", sqlite3_errmsg(db)));
    }
  }
  return std::unique_ptr<Connection>(std::move(connection));
}

}  // namespace jetmon::sql
