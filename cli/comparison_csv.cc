#include "cli/comparison_csv.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/csv_file.h"
#include "cli/terminal.h"

namespace jetmon::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{500};
// How long a control plane that is away, or has enough for now, is asked again.
constexpr std::chrono::seconds kPatience{60};

// One connection, on which reading is repeated.
class Reader {
 public:
  explicit Reader(const Connection& connection) : client_(connection) {}

  ApiClient& client() { return client_; }

  absl::StatusOr<Response> Get(const Request& request) {
    const auto until = steady_clock::now() + kPatience;
    for (;;) {
      auto answer = client_.Send(request);
      const bool away = answer.ok() ? answer->http_status == 429 || answer->http_status == 503
                                    : absl::IsUnavailable(answer.status());
      if (!away || steady_clock::now() >= until) return answer;
      std::this_thread::sleep_for(kLook);
    }
  }

 private:
  ApiClient client_;
};

// Shows a tenth when it is done, and nothing twice.
class Progress {
 public:
  void Show(const std::string& state, uint64_t done, uint64_t total) {
    const uint64_t tenth = total == 0 ? 0 : done * 10 / total;
    if (state == state_ && tenth == tenth_) return;
    std::cerr << "comparison " << state << ", " << done << " of " << total << " sites\n";
    state_ = state;
    tenth_ = tenth;
  }

 private:
  std::string state_;
  uint64_t tenth_ = 0;
};

std::vector<std::string> Header() {
  std::vector<std::string> names = {"site_id", "bucket", "url", "first", "comparison_class"};
  for (const char* side : {"from", "to"}) {
    for (const char* field :
         {"outcome", "http_code", "error_code", "failure_class", "detail", "ms"}) {
      names.push_back(absl::StrCat(side, "_", field));
    }
  }
  names.emplace_back("at");
  return names;
}

std::vector<std::string> Fields(const Json& row) {
  std::vector<std::string> fields;
  for (const char* name : {"site_id", "bucket", "url", "first", "comparison_class"}) {
    fields.push_back(row[name].Text());
  }
  for (const char* side : {"from", "to"}) {
    fields.push_back(row[absl::StrCat(side, "_outcome")].Text());
    for (const char* name : {"http_code", "error_code", "failure_class", "detail"}) {
      fields.push_back(row[side][name].Text());
    }
    fields.push_back(row[absl::StrCat(side, "_ms")].Text());
  }
  fields.push_back(row["at"].Text());
  return fields;
}

// Writes all pages behind `list`.
int WriteRows(Reader& reader, const Request& list, const std::string& path, CsvFile& file) {
  file.Append(Header());
  uint64_t rows = 0;
  std::string token;
  do {
    Request page = list;
    std::erase_if(page.query,
                  [](const auto& q) { return q.first == "page_size" || q.first == "page_token"; });
    page.query.emplace_back("page_size", "200");
    if (!token.empty()) page.query.emplace_back("page_token", token);
    auto answer = reader.Get(page);
    if (!answer.ok()) return SayNotSent(answer.status());
    if (!answer->ok()) return SayErrorAnswer(*answer);
    for (const Json& row : answer->json["results"].Items()) {
      file.Append(Fields(row));
      ++rows;
    }
    token = answer->json["next_page_token"].Text();
  } while (!token.empty());
  if (const absl::Status s = file.Finish(); !s.ok()) {
    std::cerr << "jetmon2: " << s.message() << "\n";
    return kFailed;
  }
  std::cerr << rows << " rows written to " << path << "\n";
  return kOk;
}

}  // namespace

int CompareToCsv(const ApiOptions& options, const Request& compare, const std::string& path,
                 bool force) {
  auto file = CsvFile::Create(path, force);
  if (!file.ok()) return SayNotSent(file.status());
  Reader reader(options.connection);
  auto answer = reader.client().Send(compare);
  if (!answer.ok()) return SayNotSent(answer.status());
  if (!answer->ok()) return SayErrorAnswer(*answer);
  Request look;
  look.path = "/api/v1/rollout/jobs/" + answer->json["job_id"].Text();
  Progress progress;
  for (;;) {
    const Json job = answer->json["job"];
    progress.Show(job["state"].Text(), static_cast<uint64_t>(job["done"].Number()),
                  static_cast<uint64_t>(job["total"].Number()));
    if (answer->json["status"].Text() != "running") break;
    std::this_thread::sleep_for(kLook);
    answer = reader.Get(look);
    if (!answer.ok()) return SayNotSent(answer.status());
    if (!answer->ok()) return SayErrorAnswer(*answer);
  }
  if (answer->json["status"].Text() == "ok") {
    Request list;
    list.path = look.path + "/comparison-results";
    if (const int code = WriteRows(reader, list, path, **file); code != kOk) return code;
  }
  return PrintAnswer(options, *answer);
}

int ResultsToCsv(const ApiOptions& options, const Request& list, const std::string& path,
                 bool force) {
  auto file = CsvFile::Create(path, force);
  if (!file.ok()) return SayNotSent(file.status());
  Reader reader(options.connection);
  return WriteRows(reader, list, path, **file);
}

}  // namespace jetmon::cli
