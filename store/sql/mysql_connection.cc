#include <cppconn/exception.h>
#include <cppconn/parameter_metadata.h>
#include <cppconn/prepared_statement.h>
#include <cppconn/resultset.h>
#include <cppconn/statement.h>

#include <functional>
#include <sstream>
#include <unordered_map>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "store/sql/mysql_error.h"
#include "store/sql/mysql_session.h"

// What mysql-connector-c++ 1.1 loses in silence, and where it is caught here:
//   * commit(), rollback() and setAutoCommit() swallow errors: never called; BEGIN, COMMIT and
//     ROLLBACK are statements.
//   * Results that are read row by row end early after a killed query: results are read whole
//     first, and their rows are counted.
//   * OPT_RECONNECT begins anew inside a transaction: off; a lost connection is thrown away.
//   * OPT_SSL_MODE falls back to plain text: sslEnforce and sslVerify, and the session is asked
//     for its cipher.
//   * Option names that it does not know it ignores: what we rely on is asked of the session.
//   * A parameter that was not set keeps its value of the last run: their number is checked.
// And what MariaDB 10.11 loses on a Galera cluster, whatever the client: a transaction that
// certification refuses while a PREPARE inside it is under way is rolled back, and nobody is told;
// what follows then runs alone and commits by itself, and the COMMIT "succeeds". After each PREPARE
// inside a transaction the session is therefore asked whether the transaction still is.
namespace jetmon::sql {
namespace {

constexpr size_t kMaxStatements = 256;
constexpr std::chrono::milliseconds kTimerSlack{100};  // the client library's timers may be early

class MysqlRow final : public Row {
 public:
  explicit MysqlRow(::sql::ResultSet& result) : result_(result) {}
  // The connector throws for a column that there is none of; Query catches that.
  bool IsNull(int column) const override { return result_.isNull(Index(column)); }
  int64_t Int(int column) const override { return result_.getInt64(Index(column)); }
  double Double(int column) const override {
    return static_cast<double>(result_.getDouble(Index(column)));
  }
  std::string Text(int column) const override { return result_.getString(Index(column)); }

 private:
  static uint32_t Index(int column) { return static_cast<uint32_t>(column) + 1; }
  ::sql::ResultSet& result_;
};

struct Prepared {
  std::unique_ptr<::sql::PreparedStatement> statement;
  size_t parameters = 0;
};

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

bool StartsWithAny(std::string_view sql, std::initializer_list<const char*> words) {
  for (const char* word : words) {
    if (absl::StartsWith(absl::string_view(sql.data(), sql.size()), word)) return true;
  }
  return false;
}
bool ReturnsRows(std::string_view sql) {
  return StartsWithAny(sql, {"SELECT ", "SHOW ", "EXPLAIN "});
}
// Anything else would end the transaction that it stands in, or outlive it.
bool ChangesRows(std::string_view sql) {
  return StartsWithAny(sql, {"INSERT ", "UPDATE ", "DELETE "});
}

class MysqlConnection final : public MysqlSession {
 public:
  MysqlConnection(std::unique_ptr<::sql::Connection> connection, size_t host,
                  std::chrono::seconds silence)
      : connection_(std::move(connection)), host_(host), silence_(silence) {}
  ~MysqlConnection() override {
    // Closing may throw on a connection that is gone already.
    statements_.clear();
    CatchMysql([this] { connection_.reset(); }).IgnoreError();
  }

  size_t host() const override { return host_; }
  absl::Status SetGalera() override {
    galera_ = true;
    return InTransaction().status();
  }
  bool usable() const override { return usable_; }
  bool silent() const override { return silent_; }
  const Dialect& dialect() const override { return MysqlDialect(); }
  bool Answers() override {
    bool valid = false;
    return Call([&] { valid = connection_->isValid(); }).ok() && valid;
  }

  absl::Status Begin(bool write) override {
    // READ COMMITTED: a fence that matches nothing otherwise locks the gap where its row would be.
    if (write != writes_) {
      if (auto s = Plain(write ? "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
                               : "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
          !s.ok()) {
        return s;
      }
      writes_ = write;
    }
    absl::Status s = Plain(write ? "START TRANSACTION"
                                 : "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
    in_transaction_ = s.ok();
    return s;
  }
  absl::Status Commit() override {
    in_transaction_ = false;
    return Plain("COMMIT");
  }
  absl::Status Rollback() override {
    in_transaction_ = false;
    if (!usable_) return absl::OkStatus();  // closing it rolls back
    absl::Status s = Plain("ROLLBACK");
    if (!s.ok()) usable_ = false;
    return s;
  }

  absl::StatusOr<int64_t> Execute(std::string_view sql, Params params) override {
    if (!ChangesRows(sql)) {
      return absl::InternalError("a statement in a transaction must be INSERT, UPDATE or DELETE");
    }
    auto prepared = Prepare(sql, params);
    if (!prepared.ok()) return prepared.status();
    int64_t count = 0;
    auto s = Run(**prepared, params,
                 [&](::sql::PreparedStatement& statement) { count = statement.executeUpdate(); });
    if (!s.ok()) return s;
    if (count < 0) return Failed(MysqlStatus(2014, "a statement returned rows unexpectedly"));
    return count;
  }

  absl::StatusOr<int64_t> Insert(std::string_view sql, Params params) override {
    auto inserted = Execute(sql, params);
    if (!inserted.ok()) return inserted.status();
    int64_t id = 0;
    auto s = Query("SELECT LAST_INSERT_ID()", {}, [&](const Row& row) {
      id = row.Int(0);
      return absl::OkStatus();
    });
    if (!s.ok()) return s;
    return id;
  }

  absl::Status Query(std::string_view sql, Params params, const RowCallback& row) override {
    if (!ReturnsRows(sql)) return absl::InternalError("a query must begin with SELECT or SHOW");
    auto prepared = Prepare(sql, params);
    if (!prepared.ok()) return prepared.status();
    std::unique_ptr<::sql::ResultSet> result;
    auto s = Run(**prepared, params, [&](::sql::PreparedStatement& statement) {
      result.reset(statement.executeQuery());
    });
    if (!s.ok()) return s;
    absl::Status callers;
    size_t rows = 0, expected = 0;
    s = CatchMysql([&] {
      expected = result->rowsCount();
      const MysqlRow current(*result);
      while (callers.ok() && result->next()) {
        ++rows;
        callers = row(current);
      }
    });
    if (!s.ok()) return Failed(s);
    if (!callers.ok()) return callers;
    if (rows != expected) return Failed(MysqlStatus(2027, "a result ended early"));
    return absl::OkStatus();
  }

  absl::Status ChangeSchema(std::string_view sql) override {
    return Plain(std::string(sql).c_str());
  }

  absl::Status Plain(const char* sql) override {
    return Call([&] {
      std::unique_ptr<::sql::Statement> statement(connection_->createStatement());
      statement->execute(sql);
    });
  }

  absl::StatusOr<std::string> Ask(const char* sql, int column) override {
    std::string value;
    auto s = Query(sql, {}, [&](const Row& row) {
      value = row.Text(column);
      return absl::OkStatus();
    });
    if (!s.ok()) return s;
    return value;
  }

 private:
  absl::Status Failed(absl::Status s) {
    // TLS with the server was verified when we connected: this one broke off.
    if (const std::string text = EngineText(s); absl::StartsWith(text, "2026:")) {
      s = MysqlStatus(2013, text);
    }
    if (LeavesDoubt(s)) usable_ = false;
    return s;
  }

  // Runs what talks to the server.
  template <typename F>
  absl::Status Call(const F& f) {
    const auto until = std::chrono::steady_clock::now() + silence_ - kTimerSlack;
    auto s = Failed(CatchMysql(f));
    if (!usable_ && std::chrono::steady_clock::now() >= until) silent_ = true;
    return s;
  }

  // Whether a transaction is open, asked without a PREPARE.
  absl::StatusOr<bool> InTransaction() {
    bool inside = false;
    auto s = Call([&] {
      std::unique_ptr<::sql::Statement> statement(connection_->createStatement());
      std::unique_ptr<::sql::ResultSet> result(statement->executeQuery("SELECT @@in_transaction"));
      inside = result->next() && result->getInt(1) == 1;
    });
    if (!s.ok()) return s;
    return inside;
  }

  // Aborted if the server has ended our transaction in silence.
  absl::Status StillInTransaction() {
    auto inside = InTransaction();
    if (!inside.ok() || *inside) return inside.status();
    return MysqlStatus(1213, "the cluster refused the transaction while a statement was prepared");
  }

  absl::Status Make(std::string_view sql, Prepared* made) {
    return Call([&] {
      made->statement.reset(
          connection_->prepareStatement(::sql::SQLString(sql.data(), sql.size())));
      made->parameters = made->statement->getParameterMetaData()->getParameterCount();
    });
  }
  // The server, shared by many, keeps no more prepared statements.
  static bool IsFull(const absl::Status& s) { return absl::StartsWith(EngineText(s), "1461:"); }

  absl::StatusOr<Prepared*> Prepare(std::string_view sql, Params params) {
    auto known = statements_.find(sql);
    if (known == statements_.end()) {
      if (statements_.size() >= kMaxStatements) statements_.clear();
      Prepared made;
      auto s = Make(sql, &made);
      if (IsFull(s) && !statements_.empty()) {
        statements_.clear();  // ours at least make room
        s = Make(sql, &made);
      }
      if (!s.ok()) return s;
      if (galera_ && in_transaction_) {
        if (s = StillInTransaction(); !s.ok()) return s;
      }
      known = statements_.emplace(std::string(sql), std::move(made)).first;
    }
    if (params.values().size() != known->second.parameters) {
      return absl::InternalError(absl::StrCat("a statement got ", params.values().size(),
                                              " values and takes ", known->second.parameters));
    }
    return &known->second;
  }

  template <typename F>
  absl::Status Run(Prepared& prepared, Params params, const F& run) {
    std::vector<std::unique_ptr<std::istringstream>> blobs;  // read while it runs
    return Call([&] {
      ::sql::PreparedStatement& statement = *prepared.statement;
      uint32_t index = 0;
      for (const Value& value : params.values()) Bind(statement, ++index, value, &blobs);
      run(statement);
    });
  }

  static void Bind(::sql::PreparedStatement& statement, uint32_t index, const Value& value,
                   std::vector<std::unique_ptr<std::istringstream>>* blobs) {
    const Value::Variant& v = value.variant();
    if (const auto* i = std::get_if<int64_t>(&v)) {
      statement.setInt64(index, *i);
    } else if (const auto* d = std::get_if<double>(&v)) {
      statement.setDouble(index, *d);
    } else if (const auto* s = std::get_if<std::string>(&v)) {
      statement.setString(index, ::sql::SQLString(s->data(), s->size()));
    } else if (const auto* b = std::get_if<Value::Bytes>(&v)) {
      blobs->push_back(std::make_unique<std::istringstream>(b->data));
      statement.setBlob(index, blobs->back().get());
    } else {
      statement.setNull(index, 0);
    }
  }

  std::unique_ptr<::sql::Connection> connection_;
  const size_t host_;
  const std::chrono::seconds silence_;
  bool usable_ = true, silent_ = false;
  bool galera_ = false;
  bool in_transaction_ = false;
  bool writes_ = true;  // as the session stands, see Begin; a new one is READ COMMITTED
  std::unordered_map<std::string, Prepared, TextHash, std::equal_to<>> statements_;
};

}  // namespace

absl::Status CatchMysql(const std::function<void()>& f) {
  try {
    f();
    return absl::OkStatus();
  } catch (const ::sql::MethodNotImplementedException& e) {
    return absl::InternalError(absl::StrCat("the connector lacks something: ", e.what()));
  } catch (const ::sql::InvalidArgumentException& e) {
    return absl::InternalError(absl::StrCat("the connector refused something: ", e.what()));
  } catch (const ::sql::SQLException& e) {
    return MysqlStatus(e.getErrorCode(), e.what());
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("the connector failed: ", e.what()));
  }
}

std::unique_ptr<MysqlSession> NewMysqlSession(std::unique_ptr<::sql::Connection> connection,
                                              size_t host, std::chrono::seconds silence) {
  return std::make_unique<MysqlConnection>(std::move(connection), host, silence);
}

}  // namespace jetmon::sql
