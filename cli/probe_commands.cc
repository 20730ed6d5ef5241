#include "cli/probe_commands.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/database_options.h"
#include "cli/probe_options.h"
#include "cli/probe_report.h"
#include "cli/terminal.h"
#include "cli/url_list.h"
#include "clock/clock.h"
#include "probe/engine.h"
#include "probe/url.h"

namespace jetmon::cli {
namespace {

struct Options {
  ProbeOptions probe;
  std::string url, file, output = "table";
  double rate = 20;
  int concurrency = 100;
  bool failures_only = false;
};

constexpr uint64_t kBadLinesShown = 20;
constexpr auto kBarEvery = std::chrono::milliseconds(100);

std::atomic<bool> interrupted{false};

// The first Ctrl-C ends the list, the second the program.
void AwaitInterrupt() {
  interrupted = false;
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

int FailUsage(const absl::Status& s) {
  std::cerr << "jetmon2: " << s.message() << "\n";
  return kUsage;
}

// A check has one socket; the rest of the program needs few.
absl::Status AllowOpenFiles(int concurrency) {
  const rlim_t needed = static_cast<rlim_t>(concurrency) + 100;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return absl::OkStatus();
  const rlim_t most = limit.rlim_max;
  limit.rlim_cur = needed;
  if (needed <= most && setrlimit(RLIMIT_NOFILE, &limit) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--concurrency ", concurrency, " needs ", needed,
                                                 " open files, and this process may have ", most,
                                                 " (ulimit -Hn)"));
}

int ProbeOne(const Options& o, probe::CheckRequest request, probe::Engine& engine) {
  const probe::Url url = probe::ParseUrl(o.url);
  if (url.kind == probe::UrlKind::kMalformed) {
    return FailUsage(
        absl::InvalidArgumentError(absl::StrCat("no URL: ", Printable(o.url), ": ", url.error)));
  }
  request.url = o.url;
  probe::CheckResult r;
  const absl::Status s =
      probe::CheckAll(engine, {request}, [&r](const probe::CheckResult& result) { r = result; });
  if (!s.ok()) return FailUsage(s);
  std::cout << (o.output == "json" ? absl::StrCat(Indent(CheckJson(request, r).Dump()), "\n")
                                   : CheckText(request, r));
  if (r.outcome == probe::Outcome::kSafety) return kBlocked;
  return r.outcome == probe::Outcome::kUp ? kOk : kFailed;
}

// What a list prints while it runs: results on standard output, the rest on standard error.
class ListOutput {
 public:
  explicit ListOutput(const Options& o) : o_(o) {}

  ProbeSummary& summary() { return summary_; }

  void BadLine(const UrlLine& line, const std::string& why) {
    summary_.AddBadLine();
    if (summary_.bad_lines() > kBadLinesShown) return;
    bar_.Clear();
    std::cerr << "jetmon2: line " << line.number << " of " << o_.file << ": "
              << Printable(line.url.substr(0, 100)) << ": " << why << "\n";
    if (summary_.bad_lines() == kBadLinesShown)
      std::cerr << "jetmon2: more such are only counted\n";
  }

  void Result(const probe::CheckRequest& request, const probe::CheckResult& r, uint64_t total) {
    if (r.outcome == probe::Outcome::kCancelled) return;
    summary_.Add(request, r);
    if (!o_.failures_only || r.outcome != probe::Outcome::kUp) {
      bar_.Clear();
      std::cout << (o_.output == "json" ? absl::StrCat(CheckJson(request, r).Dump(), "\n")
                                        : CheckLine(request, r))
                << std::flush;
    }
    const BootTime now = SystemClock().Boot();
    if (!on_terminal_ || now < next_bar_) return;
    bar_.Show("checked", summary_.checked(), total);
    next_bar_ = now + kBarEvery;
  }

  void End(double seconds) {
    bar_.Clear();
    std::cout << (o_.output == "json" ? absl::StrCat(summary_.ToJson(seconds).Dump(), "\n")
                                      : summary_.Text(seconds))
              << std::flush;
  }

 private:
  const Options& o_;
  ProbeSummary summary_;
  ProgressBar bar_{stderr};
  const bool on_terminal_ = isatty(STDERR_FILENO) != 0;
  BootTime next_bar_{};
};

// `s`: how the list ended.
int ListCode(const Options& o, const absl::Status& s, const ProbeSummary& summary) {
  if (interrupted) {
    std::cerr << "jetmon2: interrupted; what was not checked yet is not in the figures\n";
    return kFailed;
  }
  if (!s.ok()) return Fail(s);
  if (!std::cout) return Fail(absl::UnavailableError("can't write the results"));
  if (summary.bad_lines() > 0) return summary.checked() == 0 ? kUsage : kFailed;
  if (summary.checked() == 0) {
    return FailUsage(absl::InvalidArgumentError(absl::StrCat("no URL in ", o.file)));
  }
  if (summary.up() == summary.checked()) return kOk;
  return summary.up() + summary.refused() == summary.checked() ? kBlocked : kFailed;
}

int ProbeList(const Options& o, const probe::CheckRequest& request, probe::Engine& engine) {
  ListOutput output(o);
  auto list = UrlList::Open(o.file, [&output](const UrlLine& line, const std::string& why) {
    output.BadLine(line, why);
  });
  if (!list.ok()) return FailUsage(list.status());
  AwaitInterrupt();
  probe::CheckAllOptions all;
  all.concurrency = o.concurrency;
  all.per_second = o.rate;
  all.cancelled = [] { return interrupted.load(); };
  all.source_ready = [&list] { return list->Ready(); };
  const probe::CheckSource next = [&]() -> std::optional<probe::CheckRequest> {
    auto line = list->Next();
    if (!line.has_value()) return std::nullopt;
    probe::CheckRequest one = request;
    one.site_id = line->number;
    one.url = std::move(line->url);
    return one;
  };
  const BootTime began = SystemClock().Boot();
  absl::Status s = probe::CheckAll(
      engine, next,
      [&](const probe::CheckRequest& one, const probe::CheckResult& r) {
        output.Result(one, r, list->total());
      },
      all);
  output.End(std::chrono::duration<double>(SystemClock().Boot() - began).count());
  if (s.ok()) s = list->status();
  return ListCode(o, s, output.summary());
}

int Probe(const Options& o) {
  if (o.url.empty() == o.file.empty()) {
    return FailUsage(absl::InvalidArgumentError("probe takes a URL, or --file; see --help"));
  }
  auto request = RequestOf(o.probe);
  if (!request.ok()) return FailUsage(request.status());
  if (absl::Status s = AllowOpenFiles(o.concurrency); !s.ok()) return FailUsage(s);
  auto options = EngineOf(o.probe, o.concurrency);
  if (!options.ok()) return FailUsage(options.status());
  auto engine = probe::Engine::Create(*std::move(options));
  if (!engine.ok()) return FailUsage(WithHyphens(engine.status()));
  return o.file.empty() ? ProbeOne(o, *std::move(request), **engine)
                        : ProbeList(o, *request, **engine);
}

}  // namespace

void AddProbeCommands(CLI::App& app, int* exit_code) {
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand(
      "probe", "Check a URL, or a list of them, from here, as Monitors and Verifliers would");
  c->footer(
      "Examples:\n"
      "  jetmon2 probe https://example.com/ --profile simple_http\n"
      "  jetmon2 probe example.com --keyword Welcome --output=json\n"
      "  jetmon2 probe --file urls.txt --rate 50 --failures-only\n"
      "  zcat urls.gz | jetmon2 probe --file - --output=json > results.jsonl\n\n"
      "A file has one URL a line, and any number of them (# begins a comment; - is standard\n"
      "input). Ctrl-C ends it with a summary of what was checked.\n"
      "Exit codes: 0 all up, 1 something was not, 2 usage, 3 refused by target safety\n"
      "(of a list: what was not refused was up)");
  c->add_option("url", o->url, "what to check; http:// if it names no scheme");
  CLI::Option* file = c->add_option("--file", o->file,
                                    "check each URL of this file, and sum up; - is standard input");
  c->add_option("--rate", o->rate, "checks begun a second; 20 if left out")
      ->check(CLI::Range(0.01, 10'000.0))
      ->needs(file);
  c->add_option("--concurrency", o->concurrency, "checks at a time; 100 if left out")
      ->check(CLI::Range(1, 10'000))
      ->needs(file);
  c->add_flag("--failures-only", o->failures_only, "leave out what is up")->needs(file);
  c->add_option("--output", o->output, "table or json; json is one object a line with --file")
      ->check(CLI::IsMember({"table", "json"}));
  AddProbeOptions(c, &o->probe);
  c->callback([o, exit_code] { *exit_code = Probe(*o); });
}

}  // namespace jetmon::cli
