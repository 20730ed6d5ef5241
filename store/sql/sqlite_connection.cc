#include <errno.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <unordered_map>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "store/sql/connection.h"
#include "store/sql/sqlite_settings.h"

namespace jetmon::sql {
namespace {

// SQLite itself waits this long for a lock; the layer above runs the transaction again until its
// deadline.
constexpr int kBusyMs = 100;
// Tries of kBusyMs to set a connection up while others do.
constexpr int kSetUpAttempts = 50;
constexpr size_t kMaxStatements = 256;

// The status of an extended result code.
absl::Status StatusOf(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:  // lost a race for the locks of the write-ahead log
      return absl::AbortedError("the database is busy");
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
          code == SQLITE_CONSTRAINT_ROWID) {
        return absl::AlreadyExistsError("a row with this key exists");
      }
      return absl::FailedPreconditionError("the database refused a value");
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return absl::UnavailableError(
          absl::StrCat("the database can't be used: ", sqlite3_errstr(code)));
    default:
      return absl::InternalError(absl::StrCat("database error ", code, ": ", sqlite3_errstr(code)));
  }
}

// The same with what SQLite says about it.
absl::Status Classify(sqlite3* db, int code) {
  absl::Status s = StatusOf(code);
  s.SetPayload(kEngineTextKey, absl::Cord(sqlite3_errmsg(db)));
  return s;
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

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

// Finds the text of a statement without making a string of it first.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n;") == std::string_view::npos;
}

class SqliteConnection final : public Connection {
 public:
  explicit SqliteConnection(sqlite3* db) : db_(db) {}

  absl::Status Begin(bool write) override {
    writing_ = true;  // BEGIN itself is no read
    absl::Status s = Simple(write ? "BEGIN IMMEDIATE" : "BEGIN");
    writing_ = write;
    return s;
  }
  absl::Status Commit() override { return Simple("COMMIT"); }
  absl::Status Rollback() override {
    // After some errors SQLite has rolled back by itself.
    if (sqlite3_get_autocommit(db_.get()) != 0) return absl::OkStatus();
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
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) return absl::InternalError("a statement returned rows unexpectedly");
    if (code != SQLITE_DONE) return Failed(code);
    return sqlite3_stmt_readonly(statement) != 0 ? 0 : sqlite3_changes64(db_.get());
  }

  absl::StatusOr<int64_t> Insert(std::string_view sql, Params params) override {
    auto inserted = Execute(sql, params);
    if (!inserted.ok()) return inserted.status();
    return sqlite3_last_insert_rowid(db_.get());
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
    absl::Status s = Classify(db_.get(), code);
    if (absl::IsUnavailable(s)) usable_ = false;
    return s;
  }

  absl::Status Simple(const char* sql) {
    auto done = Execute(sql, {});
    return done.ok() ? absl::OkStatus() : done.status();
  }

  absl::Status Prepare(std::string_view sql, Params params, sqlite3_stmt** statement) {
    auto known = statements_.find(sql);
    if (known == statements_.end()) {
      if (statements_.size() >= kMaxStatements) statements_.clear();
      auto made = Compile(sql);
      if (!made.ok()) return made.status();
      known = statements_.emplace(std::string(sql), std::move(*made)).first;
    }
    *statement = known->second.get();
    if (!writing_ && sqlite3_stmt_readonly(*statement) == 0) {
      return absl::InternalError("a read transaction was asked to write");
    }
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

  // One statement and nothing behind it, which SQLite would leave out in silence.
  absl::StatusOr<Statement> Compile(std::string_view sql) {
    sqlite3_stmt* made = nullptr;
    const char* rest = nullptr;
    const int code = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &made, &rest);
    Statement statement(made);
    if (code != SQLITE_OK) return Failed(code);
    if (statement == nullptr) return absl::InternalError("a statement is empty");
    if (!IsBlank(sql.substr(rest - sql.data()))) {
      return absl::InternalError("more than one statement at once");
    }
    return statement;
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

  const std::unique_ptr<sqlite3, CloseDatabase> db_;
  // By text; gone before the database is closed.
  std::unordered_map<std::string, Statement, TextHash, std::equal_to<>> statements_;
  bool usable_ = true;
  bool writing_ = false;
};

// Sees to it that a new database file belongs to its owner alone: keys and tokens' hashes are in
// it. The file must never be opened here: closing any descriptor of it drops all POSIX locks that
// this process holds on it, and another process would then take itself for the last one, and remove
// the write-ahead log that this one still writes.
absl::Status MakeFile(const std::string& path) {
  if (mknod(path.c_str(), S_IFREG | 0600, 0) != 0 && errno != EEXIST) {
    return absl::UnavailableError(
        absl::StrCat("can't open the database ", path, ": ", strerror(errno)));
  }
  struct stat st {};
  if (stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode)) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("the database ", path, " is not a regular file"));
}

// SHA-256, again and again: what OpenSSL's SHA256() looks up at every call, under a lock, is kept.
class Sha256 {
 public:
  Sha256() : method_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {}
  ~Sha256() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(method_);
  }
  Sha256(const Sha256&) = delete;
  bool Digest(const unsigned char* text, size_t size, unsigned char* digest) {
    return EVP_DigestInit_ex2(context_, method_, nullptr) == 1 &&
           EVP_DigestUpdate(context_, text, size) == 1 &&
           EVP_DigestFinal_ex(context_, digest, nullptr) == 1;
  }

 private:
  EVP_MD* const method_;
  EVP_MD_CTX* const context_;
};

// jetmon_hash16(text), see Dialect::Hash16.
void Hash16(sqlite3_context* context, int, sqlite3_value** arguments) {
  thread_local Sha256 sha256;
  const unsigned char* text = sqlite3_value_text(arguments[0]);
  if (text == nullptr) return;  // NULL
  unsigned char digest[EVP_MAX_MD_SIZE];
  if (!sha256.Digest(text, static_cast<size_t>(sqlite3_value_bytes(arguments[0])), digest)) {
    sqlite3_result_error(context, "SHA-256 failed", -1);
    return;
  }
  char hex[16];
  for (int i = 0; i < 16; ++i) {
    hex[i] = "0123456789abcdef"[i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2] & 15];
  }
  sqlite3_result_text(context, hex, sizeof(hex), SQLITE_TRANSIENT);
}

int KeepFirstColumn(void* out, int columns, char** values, char**) {
  if (columns > 0 && values[0] != nullptr) *static_cast<std::string*>(out) = values[0];
  return 0;
}

// Readers and one writer side by side; a commit survives the death of the process.
absl::Status SetUp(sqlite3* db, const std::string& path) {
  std::string mode;
  int code = SQLITE_BUSY;
  for (int attempt = 0; attempt < kSetUpAttempts && (code & 0xff) == SQLITE_BUSY; ++attempt) {
    code = sqlite3_exec(db, "PRAGMA journal_mode = WAL", KeepFirstColumn, &mode, nullptr);
  }
  if (code == SQLITE_OK) code = sqlite3_exec(db, kSqliteSettings, nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) {
    code = sqlite3_create_function_v2(db, "jetmon_hash16", 1,
                                      SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                      nullptr, Hash16, nullptr, nullptr, nullptr);
  }
  if (code != SQLITE_OK) {
    return absl::UnavailableError(
        absl::StrCat("the database ", path, " can't be used: ", sqlite3_errmsg(db)));
  }
  // SQLite stays with another mode, without an error, where it can't share memory.
  if (mode != "wal") {
    return absl::UnavailableError(absl::StrCat(
        "the database ", path,
        " can't be used: no write-ahead log on this file system; put it on a local disk"));
  }
  return absl::OkStatus();
}

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
  if (auto s = SetUp(db, path); !s.ok()) return s;
  return std::unique_ptr<Connection>(std::move(connection));
}

class SqliteConnector final : public Connector {
 public:
  explicit SqliteConnector(std::string path) : path_(std::move(path)) {}
  absl::StatusOr<std::unique_ptr<Connection>> Connect(std::chrono::seconds) override {
    return OpenSqlite(path_);
  }
  const Dialect& dialect() const override { return SqliteDialect(); }

 private:
  const std::string path_;
};

}  // namespace

std::unique_ptr<Connector> NewSqliteConnector(std::string path) {
  return std::make_unique<SqliteConnector>(std::move(path));
}

}  // namespace jetmon::sql
