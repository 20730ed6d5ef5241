#ifndef JETMON_TESTS_BENCH_RAW_H_
#define JETMON_TESTS_BENCH_RAW_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

// The peer: a database by its C API with prepared statements and nothing else. An error ends the
// process with what the engine said.
namespace jetmon::bench {

class Raw {
 public:
  using Value = std::variant<std::monostate, int64_t, std::string>;
  virtual ~Raw() = default;
  // A statement to be run again and again.
  virtual size_t Prepare(const std::string& sql) = 0;
  // Runs it; the id that an INSERT was given.
  virtual int64_t Run(size_t statement, const std::vector<Value>& values) = 0;
  // Fetches the rows of a query and looks at each value; their number.
  virtual uint64_t Read(const std::string& sql) = 0;
  virtual void Simple(const char* sql) = 0;
  virtual const char* begin() const = 0;
};

// `path` is of a database file. Set up as the product sets up its connections to SQLite.
std::unique_ptr<Raw> OpenRawSqlite(const std::string& path);
std::unique_ptr<Raw> OpenRawMariadb(const std::string& user, const std::string& host, int port,
                                    const std::string& password, const std::string& database);

}  // namespace jetmon::bench

#endif  // JETMON_TESTS_BENCH_RAW_H_
