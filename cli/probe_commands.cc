#include "cli/probe_commands.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <future>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/database_options.h"
#include "cli/probe_options.h"
#include "cli/probe_report.h"
#include "cli/terminal.h"
#include "cli/url_list.h"
#include "clock/clock.h"

namespace jetmon::cli {
namespace {

struct Options {
  ProbeOptions probe;
  std::string url, file, output = "table";
  double rate = 20;
  int concurrency = 100;
  bool failures_only = false;
};

std::atomic<bool> interrupted{false};

void OnInterrupt(int) { interrupted = true; }

int FailUsage(const absl::Status& s) {
  std::cerr << "jetmon2: " << s.message() << "\n";
  return kUsage;
}

int ProbeOne(const Options& o, probe::CheckRequest request, probe::Engine& engine) {
  request.url = o.url;
  auto promise = std::make_shared<std::promise<probe::CheckResult>>();
  auto result = promise->get_future();
  const absl::Status s =
      engine.Submit(request, [promise](probe::CheckResult r) { promise->set_value(std::move(r)); });
  if (!s.ok()) return FailUsage(s);
  const probe::CheckResult r = result.get();
  std::cout << (o.output == "json" ? absl::StrCat(Indent(CheckJson(request, r).Dump()), "\n")
                                   : CheckText(request, r));
  return r.outcome == probe::Outcome::kUp ? kOk : kFailed;
}

int ProbeList(const Options& o, const probe::CheckRequest& request, probe::Engine& engine) {
  auto list = UrlList::Open(o.file);
  if (!list.ok()) return FailUsage(list.status());
  ProbeSummary summary;
  ProgressBar bar(stderr);
  probe::CheckAllOptions all;
  all.concurrency = o.concurrency;
  all.per_second = o.rate;
  all.cancelled = [] { return interrupted.load(); };
  signal(SIGINT, OnInterrupt);
  const BootTime began = SystemClock().Boot();
  const probe::CheckSource next = [&]() -> std::optional<probe::CheckRequest> {
    auto url = list->Next();
    if (!url.has_value()) return std::nullopt;
    probe::CheckRequest one = request;
    one.url = *std::move(url);
    return one;
  };
  const absl::Status s = probe::CheckAll(
      engine, next,
      [&](const probe::CheckRequest& one, const probe::CheckResult& r) {
        if (r.outcome == probe::Outcome::kCancelled) return;
        summary.Add(one, r);
        if (!o.failures_only || r.outcome != probe::Outcome::kUp) {
          bar.Clear();
          std::cout << (o.output == "json" ? absl::StrCat(CheckJson(one, r).Dump(), "\n")
                                           : CheckLine(one, r))
                    << std::flush;
        }
        bar.Show("checked", summary.checked(), list->total());
      },
      all);
  bar.End();
  const double seconds = std::chrono::duration<double>(SystemClock().Boot() - began).count();
  if (o.output == "json") {
    std::cout << summary.ToJson(seconds).Dump() << "\n";
  } else {
    std::cout << summary.Text(seconds);
  }
  if (interrupted) std::cerr << "interrupted: what was not checked yet is not in the figures\n";
  if (!s.ok() && !interrupted) return Fail(s);
  return s.ok() && summary.up() == summary.checked() ? kOk : kFailed;
}

int Probe(const Options& o) {
  if (o.url.empty() == o.file.empty()) {
    return FailUsage(absl::InvalidArgumentError("probe takes a URL, or --file; see --help"));
  }
  auto request = RequestOf(o.probe);
  if (!request.ok()) return FailUsage(request.status());
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
      "  jetmon2 probe --file urls.txt --rate 50 --failures-only\n\n"
      "A file has one URL a line (# begins a comment; - is standard input).\n"
      "Exit codes: 0 all up, 1 one was not, 2 usage");
  c->add_option("url", o->url, "what to check; http:// if it names no scheme");
  c->add_option("--file", o->file, "check each URL of this file, and sum up");
  c->add_option("--rate", o->rate, "with --file: checks begun a second, 0.01 to 10000")
      ->check(CLI::Range(0.01, 10'000.0));
  c->add_option("--concurrency", o->concurrency, "with --file: checks at a time, 1 to 10000")
      ->check(CLI::Range(1, 10'000));
  c->add_flag("--failures-only", o->failures_only, "with --file: leave out what is up");
  c->add_option("--output", o->output, "table or json; json is one object a line with --file")
      ->check(CLI::IsMember({"table", "json"}));
  AddProbeOptions(c, &o->probe);
  c->callback([o, exit_code] { *exit_code = Probe(*o); });
}

}  // namespace jetmon::cli
